"""What is sent for one contact: the request that turns what Genesys has into what the contact's records say.

Pure. What belongs here: combining records, and the difference to what was delivered. Which records a contact has
is decided in `planning`; what a request looks like on the wire belongs to `genesys.payloads`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contact_sync.contacts.fields import CONTACT_FIELDS, MAX_EXTERNAL_IDS
from contact_sync.contacts.identity import Link

KEY = "key"
"""Names the external source of the business keys; a CRM record's source is named after the CRM."""

ExternalId = tuple[str, str]
"""An external id: the source's name and the value."""

Changes = Sequence[Mapping[str, str | None]]
"""The fields of a contact that change: `field`, `old`, `new`."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """What delivery sends for one contact.

    Attributes:
        kind: `upsert` or `remove`.
        matching: (source name, value) of the external ids by which Genesys finds the contact, strongest first.
        external_ids: (source name, value) of those that the contact carries from now on.
        contact: The canonical contact to send.
        clear: Fields that we delivered before and that the CRM has emptied.
        release: Whether external ids that are not listed are taken off the contact.
    """

    kind: str
    matching: tuple[ExternalId, ...] = field(default=(), repr=False)  # a business key holds a phone number
    external_ids: tuple[ExternalId, ...] = field(default=(), repr=False)
    contact: Mapping[str, str] = field(default_factory=dict, repr=False)
    clear: tuple[str, ...] = ()
    release: bool = False

    def to_json(self) -> str:
        """Return the request as one line of JSON."""
        # asdict would copy every value, which takes a third of planning's time.
        fields = {name: getattr(self, name) for name in self.__slots__}
        return _ENCODER.encode(fields)

    @classmethod
    def from_json(cls, text: str) -> "ContactRequest":
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        for name in ("matching", "external_ids"):
            raw[name] = tuple((source, value) for source, value in raw[name])
        return cls(**raw | {"clear": tuple(raw["clear"])})


def combine(members: Iterable[Link]) -> dict[str, str]:
    """Return the contact that records make together: field by field the newest non-empty value.

    Args:
        members: The contact's links, newest first.
    """
    fields: dict[str, str] = {}
    for link in members:
        fields = {**link.fields, **fields}
    return {name: fields[name] for name in CONTACT_FIELDS if name in fields}


def external_ids(members: Iterable[Link]) -> tuple[ExternalId, ...]:
    """Return the external ids of a contact: every CRM id first, then the business keys, as many as fit."""
    links = list(members)
    records = [link.record for link in links]
    keys = [(KEY, link.business_key) for link in links if link.business_key]
    return tuple(dict.fromkeys([*records, *keys]))[:MAX_EXTERNAL_IDS]


def request_for(
    before: Sequence[Link], after: Sequence[Link], unanswered: Sequence[Link] = ()
) -> tuple[ContactRequest | None, Changes]:
    """Return what has to be sent for a contact, None if Genesys has it already, and which of its fields change.

    Args:
        before: Its records as last delivered, newest first.
        after: Its records as they are to be, newest first.
        unanswered: Records as requests carried them whose answers are not known. Genesys may have any of it: the
            contact is found by it, and all of it is overwritten.
    """
    old, new = combine(before), combine(after)
    changes = [
        {"field": name, "old": old.get(name), "new": new.get(name)}
        for name in CONTACT_FIELDS
        if old.get(name) != new.get(name)
    ]
    if not after:
        # A contact whose id is not known is found by what it was sent with.
        request = ContactRequest("remove", matching=external_ids(unanswered)) if before or unanswered else None
        return request, changes
    ids, had = external_ids(after), external_ids([*before, *unanswered])
    if not changes and not unanswered and set(ids) == set(had):
        return None, []
    filled = set(old).union(*(link.fields for link in unanswered))
    request = ContactRequest(
        "upsert",
        matching=tuple(dict.fromkeys([*had, *ids])),
        external_ids=ids,
        contact=new,
        clear=tuple(name for name in CONTACT_FIELDS if name in filled and name not in new),
        release=bool(set(had) - set(ids)),
    )
    return request, changes
