"""Permissions: which the operations of the contract need, and refusing who lacks them.

What belongs here: their names and the check. Which operation needs which is written beside the operation.
"""

from contact_sync.simulator.errors import ApiError
from contact_sync.simulator.settings import TwinSettings

Permissions = tuple[str, ...]
"""Any one of these is enough; none is needed where it is empty."""


def needs(noun: str, verb: str) -> Permissions:
    """Return the permission to do `verb` to what `noun` names."""
    return (f"externalContacts:{noun}:{verb}",)


def needs_old_or_new(noun: str, verb: str) -> Permissions:
    """Return the permission and its legacy twin, which the older operations take as well."""
    return (f"relate:{noun}:{verb}", *needs(noun, verb))


def require(settings: TwinSettings, client_id: str, needed: Permissions) -> None:
    """Refuse a client that has none of the permissions needed.

    Raises:
        ApiError: 403.
    """
    held = settings.permissions.get(client_id)
    if held is None or not needed or not held.isdisjoint(needed):
        return
    names = ", ".join(needed)
    message = (
        "Unable to perform the requested action. "
        f"You must have at least one of the following permissions assigned: {names}"
    )
    raise ApiError(403, "missing.any.permissions", message)
