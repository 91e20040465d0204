"""Our contacts as Genesys writes them, and back.

What belongs here: the shape of one enrich item and the names of its fields; pure, no request. Which contact to
send, and which fields the CRM owns, was decided before.

A canonical contact maps the names in `FIELDS` to non-empty text. Phones are E.164, optionally with `;ext=123`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from contact_sync.contacts.fields import ADDRESS, EMAILS, MAX_EXTERNAL_IDS, NAMES, PHONES
from contact_sync.genesys.answers import JsonObject, as_object, as_text

_TEXTS = (*NAMES, *EMAILS, "externalSystemUrl")
_ADDRESS = tuple(name.removeprefix("address.") for name in ADDRESS)
FIELDS = frozenset({*PHONES, *_TEXTS, *ADDRESS})

_EXTENDED = re.compile(r"(?P<number>\+\d+);ext=(?P<extension>\d{1,15})")


@dataclass(frozen=True, slots=True)
class ExternalId:
    """Our name for a contact: a value, at most 255 characters, under an ExternalSource (its GUID)."""

    source_id: str
    value: str = field(repr=False)  # a business key holds a phone number


@dataclass(frozen=True, slots=True)
class Upsert:
    """One contact to create or update.

    Args:
        tracker: Finds the outcome again; unique in a request.
        external_ids: What the contact carries from now on; 1 to 10.
        contact: A canonical contact.
        clear: Fields that the CRM emptied and Genesys shall forget.
        matching: By what Genesys finds the contact, in this order, at most 25; its external ids unless given.
        release: Whether the contact loses the external ids that it does not list, other integrations' included.
        merge: Whether contacts that are found by different ids become one, under a new id of Genesys'.

    Raises:
        ValueError: Without a tracker or an external id (a repeat would create a second contact), with an unknown
            field, or with a field both given and cleared.
    """

    tracker: str
    external_ids: tuple[ExternalId, ...]
    contact: Mapping[str, str] = field(repr=False)
    clear: tuple[str, ...] = ()
    matching: tuple[ExternalId, ...] = ()
    release: bool = False
    merge: bool = False

    def __post_init__(self) -> None:
        count = len(self.external_ids)
        if not self.tracker or not 1 <= count <= MAX_EXTERNAL_IDS:
            msg = f"an upsert needs a tracker and 1 to {MAX_EXTERNAL_IDS} external ids, not {count}"
            raise ValueError(msg)
        if unknown := {*self.contact, *self.clear} - FIELDS:
            msg = f"upsert {self.tracker}: not fields of a contact: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        if both := self.contact.keys() & set(self.clear):
            msg = f"upsert {self.tracker}: both given and cleared: {', '.join(sorted(both))}"
            raise ValueError(msg)


def enrich_item(upsert: Upsert) -> JsonObject:
    """Return the bulk enrich item of `upsert`.

    Fields that the item omits keep their value in Genesys (PreferProvided), except those in `upsert.clear`: their
    rule AlwaysUseProvided lets the omission erase.
    """
    rules = [{"field": f"$.{name}", "action": "AlwaysUseProvided"} for name in upsert.clear]
    if upsert.release:
        rules.append({"field": "$.externalIds", "action": "AlwaysUseProvided", "arrayAction": "Replace"})
    return {
        "id": upsert.tracker,
        # Once they are one, the same request again finds the one and updates it.
        "action": "Merge" if upsert.merge else "Upsert",
        "matchingIdentifiers": [identifier(one) for one in upsert.matching or upsert.external_ids],
        "contact": {**_fields(upsert.contact), "externalIds": [_external_id(one) for one in upsert.external_ids]},
        "fieldRules": {"defaultAction": "PreferProvided", "rules": rules},
    }


def find_item(tracker: str, matching: Sequence[ExternalId]) -> JsonObject:
    """Return a bulk enrich item that changes nothing: it finds the contact that carries one of the ids."""
    return {
        "id": tracker,
        "action": "Update",
        "matchingIdentifiers": [identifier(one) for one in matching],
        "contact": {},
    }


def identifier(one: ExternalId) -> JsonObject:
    """Return the ContactIdentifier of an external id."""
    return {"type": "ExternalId", **_external_id(one)}


def _external_id(one: ExternalId) -> JsonObject:
    return {"externalSource": {"id": one.source_id}, "value": one.value}


def canonical(entity: JsonObject) -> dict[str, str]:
    """Return the canonical contact of a Genesys contact: non-empty known fields only."""
    values = {name: as_text(entity.get(name)) for name in _TEXTS}
    values |= {name: _number(as_object(entity.get(name))) for name in PHONES}
    address = as_object(entity.get("address"))
    values |= {f"address.{part}": as_text(address.get(part)) for part in _ADDRESS}
    return {name: value for name, value in values.items() if value}


def external_ids(entity: JsonObject) -> tuple[ExternalId, ...]:
    """Return the external ids that a Genesys contact carries."""
    return tuple(_stored_ids(entity.get("externalIds")))


def _fields(contact: Mapping[str, str]) -> JsonObject:
    fields: dict[str, object] = {name: contact[name] for name in _TEXTS if name in contact}
    fields |= {name: _phone(contact[name]) for name in PHONES if name in contact}
    address = {part: contact[f"address.{part}"] for part in _ADDRESS if f"address.{part}" in contact}
    return fields | ({"address": address} if address else {})


def _phone(number: str) -> JsonObject:
    """Split off the extension, which Genesys keeps as an integer: leading zeros do not survive there."""
    if extended := _EXTENDED.fullmatch(number):
        return {"display": extended["number"], "extension": int(extended["extension"])}
    return {"display": number}


def _number(phone: JsonObject) -> str | None:
    """Prefer `e164`: Genesys rewrites `display` into a form for people."""
    number = as_text(phone.get("e164")) or as_text(phone.get("display"))
    extension = phone.get("extension")
    return f"{number};ext={extension}" if number and isinstance(extension, int) else number


def _stored_ids(values: object) -> Iterator[ExternalId]:
    for item in values if isinstance(values, Sequence) else ():
        one = as_object(item)
        source, value = as_text(as_object(one.get("externalSource")).get("id")), as_text(one.get("value"))
        if source and value:
            yield ExternalId(source, value)
