"""What is sent for one contact: the request that turns what Genesys has into what the contact's records say.

Pure. What belongs here: combining records, and the difference to what was delivered. Which records a contact has
is decided in `planning`; what a request looks like on the wire belongs to `genesys.payloads`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from contact_sync.contacts.fields import EMAILS, MAX_EXTERNAL_IDS, ORGANIZATION, PHONES, Contact, field_names
from contact_sync.contacts.identity import Link
from contact_sync.contacts.seen import KEY, ExternalId, Seen

MAX_MATCHING = 25
"""External ids by which one request can look for its contact."""

Changes = Sequence[Mapping[str, str | None]]
"""The fields of a contact that change: `field`, `old`, `new`."""


def encoded(value: object) -> str:
    """Return a value as one line of JSON."""
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """What delivery sends for one contact.

    Attributes:
        kind: `upsert`, `remove`, or `leave`: our external ids are taken off a contact that was there before us.
        matching: (source name, value) of the external ids by which Genesys finds the contact, strongest first.
        external_ids: (source name, value) of those that the contact carries from now on.
        contact: The canonical contact to send.
        clear: Fields that we delivered before and that the CRM has emptied.
        release: Whether external ids that are not listed are taken off the contact.
        adopt: Whether the contact, known by its Genesys id, has to be given its first external id before.
        absorbed: Contacts that are merged into this one; their external ids are among `matching`.
        leaves: Contacts that its records leave: their requests come first, since they still carry its external
            ids.
        first: The requests of those of them that have no row of their own.
    """

    kind: str
    matching: tuple[ExternalId, ...] = field(default=(), repr=False)  # a business key holds a phone number
    external_ids: tuple[ExternalId, ...] = field(default=(), repr=False)
    contact: Mapping[str, str] = field(default_factory=dict, repr=False)
    clear: tuple[str, ...] = ()
    release: bool = False
    adopt: bool = False
    absorbed: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    first: Mapping[str, "ContactRequest"] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """Return the request as one line of JSON."""
        return encoded(self)

    @classmethod
    def from_json(cls, text: str) -> "ContactRequest":
        """Read what `to_json` wrote."""
        return cls._of(orjson.loads(text))

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> "ContactRequest":
        for name in ("matching", "external_ids"):
            raw[name] = tuple((source, value) for source, value in raw[name])
        for name in ("clear", "absorbed", "leaves"):
            raw[name] = tuple(raw[name])
        return cls(**raw | {"first": {contact: cls._of(one) for contact, one in raw["first"].items()}})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a contact before a plan.

    Attributes:
        contact: Its id.
        before: Its records as last delivered, newest first.
        unanswered: Records as requests carried them whose answers are not known. Genesys may have any of it: the
            contact is found by it, and all of it is overwritten.
        seen: The contact as last seen in Genesys.
    """

    contact: str = ""
    before: Sequence[Link] = ()
    unanswered: Sequence[Link] = ()
    seen: Seen | None = None

    @property
    def ids(self) -> tuple[ExternalId, ...]:
        """The external ids that its records have, or may have, given it."""
        return external_ids([*self.before, *self.unanswered])

    @property
    def sent(self) -> Sequence[Link]:
        """The unanswered records without those that were to be taken off it: they may be other contacts by now."""
        return [link for link in self.unanswered if link.fields]

    @property
    def found_by(self) -> tuple[ExternalId, ...]:
        """The external ids by which it is found."""
        return external_ids([*self.before, *self.sent])

    @property
    def filled(self) -> set[str]:
        """The fields that its records have, or may have, filled."""
        return {name for link in (*self.before, *self.unanswered) for name in link.fields}

    @property
    def others(self) -> Contact:
        """What it has that none of its records has delivered."""
        filled = self.filled
        fields = self.seen.fields if self.seen else {}
        return {name: value for name, value in fields.items() if name not in filled}

    @property
    def kept(self) -> tuple[ExternalId, ...]:
        """The external ids that others, or records that are not linked again yet, have given it."""
        return self.seen.without(self.ids) if self.seen else ()


def combine(members: Iterable[Link]) -> dict[str, str]:
    """Return the contact that records make together: field by field the newest non-empty value.

    Args:
        members: The contact's links, newest first.
    """
    links = list(members)
    fields: dict[str, str] = {}
    for link in links:
        fields = {**link.fields, **fields}
    owner = next((link.record[0] for link in links if ORGANIZATION in link.fields), "")
    return contact_of(owner, fields)


def contact_of(source: str, fields: Contact) -> dict[str, str]:
    """Return the contact that fields make, in the order of fields; an organisation is known by its source too."""
    contact = {name: fields[name] for name in field_names(fields) if name in fields}
    if ORGANIZATION in contact:  # an account's id means something in its own CRM only
        contact[ORGANIZATION] = encoded([source, *orjson.loads(contact[ORGANIZATION])])
    return contact


def external_ids(members: Iterable[Link]) -> tuple[ExternalId, ...]:
    """Return the external ids of a contact: every CRM id first, then the business keys, as many as fit."""
    links = list(members)
    records = [link.record for link in links]
    keys = [(KEY, link.business_key) for link in links if link.business_key]
    return tuple(dict.fromkeys([*records, *keys]))[:MAX_EXTERNAL_IDS]


def request_for(
    known: Known, after: Sequence[Link], absorbed: Sequence[Known] = (), *, needed: bool = False
) -> tuple[ContactRequest | None, Changes]:
    """Return what has to be sent for a contact, None if Genesys has it already, and which of its fields change.

    Args:
        known: What is known of it.
        after: Its records as they are to be, newest first.
        absorbed: What is known of contacts that are merged into it.
        needed: Whether it has to be sent whole for another reason.
    """
    new, old = combine(after), _baseline(known, after)
    changes = changes_of(old, new)
    if not after:
        return _farewell(known), changes
    ids, had = external_ids(after), known.ids
    carried = {*had, *(known.seen.ours if _is_found_again(known, after) and known.seen else ())}
    if not (changes or known.unanswered or absorbed or needed) and carried >= set(ids) and set(ids) >= set(had):
        return None, []
    release = bool(set(had) - set(ids)) or bool(absorbed)
    kept = [one for other in (known, *absorbed) for one in other.kept] if release else []
    request = ContactRequest(
        "upsert",
        matching=_first(
            MAX_MATCHING, [*known.found_by, *ids, *(one for other in absorbed for one in other.found_by)]
        ),
        external_ids=_first(MAX_EXTERNAL_IDS, [*ids, *kept]),
        contact=_doubtful(known) | new,
        clear=_cleared(known, absorbed, new),
        release=release,
        adopt=known.seen is not None and not known.before and not set(known.seen.ours) & set(ids),
        absorbed=tuple(other.contact for other in absorbed),
    )
    return request, changes


def _is_found_again(known: Known, after: Sequence[Link]) -> bool:
    """Whether the records that join a contact were part of it before their links got lost."""
    delivered = {link.record for link in known.before}
    joining = [link.record for link in after if link.record not in delivered]
    return known.seen is not None and bool(joining) and set(known.seen.ours).issuperset(joining)


def _baseline(known: Known, after: Sequence[Link]) -> dict[str, str]:
    """Return what the contact has, as far as its records say anything of it."""
    old = combine(known.before)
    if known.seen and (not known.before or _is_found_again(known, after)):
        said = {name for link in after for name in link.fields}
        return {name: value for name, value in known.seen.fields.items() if name in said} | old
    return old


def changes_of(old: Contact, new: Contact) -> list[Mapping[str, str | None]]:
    """Return the fields in which two contacts differ."""
    different = {name for name, _ in old.items() ^ new.items()}
    return [
        {"field": name, "old": old.get(name), "new": new.get(name)}
        for name in field_names(old, new)
        if name in different
    ]


def _farewell(known: Known) -> ContactRequest | None:
    """Return the request for a contact without records; without an id it is found by what it was sent with."""
    if known.seen and (known.seen.adopted or not (known.before or known.seen.ours)):
        return ContactRequest("leave", matching=known.ids)
    if known.before or known.sent:
        return ContactRequest("remove", matching=external_ids(known.sent))
    return None


def _doubtful(known: Known) -> dict[str, str]:
    """Return what an unanswered request may have overwritten in a contact that was there before us."""
    if known.before or known.seen is None:
        return {}
    return {name: known.seen.fields[name] for name in known.filled if name in known.seen.fields}


def _cleared(known: Known, absorbed: Sequence[Known], new: Contact) -> tuple[str, ...]:
    """Return the fields to empty: what we delivered and nobody says any more; never what others have filled."""
    filled = known.filled - _doubtful(known).keys()
    if absorbed:
        # Genesys keeps the numbers and addresses of a merged contact, in whatever field is free.
        filled = filled.union(PHONES, EMAILS, *(other.filled for other in absorbed))
        filled = filled.difference(*(other.others for other in (known, *absorbed)))
    return tuple(name for name in field_names(dict.fromkeys(filled, "")) if name in filled and name not in new)


def _first(count: int, ids: Iterable[ExternalId]) -> tuple[ExternalId, ...]:
    return tuple(dict.fromkeys(ids))[:count]
