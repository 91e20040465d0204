"""A contact as it was last seen in Genesys, whoever made it.

What belongs here: what is kept of it, and what of that is ours. Recognising people by it belongs to `identity`,
reading it to `genesys.scan`, keeping it to `state.mirror`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from contact_sync.contacts.fields import Contact

KEY = "key"
"""Names the external source of the business keys; a CRM record's source is named after the CRM."""

RECORD = "record"
"""The rule under which a contact is looked up by a CRM record's external id; `KEY` is the other one."""

FOREIGN = "@"
"""Begins the name of an external source that is not ours: the rest is its id in Genesys."""

ExternalId = tuple[str, str]
"""An external id: the source's name and the value."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A contact as it was last seen in Genesys.

    Attributes:
        contact: Its id.
        fields: Its canonical fields, ours and others'.
        external_ids: Its external ids: ours by the source's name, others' by `FOREIGN` and the source's id.
        organization: The Genesys id of its organisation.
        account: The CRM id of the account that this organisation is known to be.
        adopted: Whether it was there before a CRM record became it.
    """

    contact: str
    fields: Contact = field(default_factory=dict, repr=False)
    external_ids: tuple[ExternalId, ...] = field(default=(), repr=False)
    organization: str | None = None
    adopted: bool = False
    account: str | None = None

    @property
    def ours(self) -> tuple[ExternalId, ...]:
        """The external ids under sources of ours."""
        return tuple(one for one in self.external_ids if not one[0].startswith(FOREIGN))

    def without(self, ids: Iterable[ExternalId]) -> tuple[ExternalId, ...]:
        """Return its external ids but these."""
        left_out = set(ids)
        return tuple(one for one in self.external_ids if one not in left_out)


def mark(one: ExternalId) -> tuple[str, str]:
    """Return the rule and the value under which an external id of ours is looked up."""
    source, value = one
    return (KEY, value) if source == KEY else (RECORD, f"{source}\x1f{value}")
