"""What the sync's external sources are called in Genesys.

What belongs here: names. Which of them a delivery needs is `sending`'s and `organizations`'.
"""


def external_source(name: str) -> str:
    """Return what the external source of a CRM, or of the business keys, is called in Genesys."""
    return f"contact_sync {name}"
