"""Our contacts as Genesys writes them, and back.

What belongs here: the shape of one enrich item and the names of its fields; pure, no request. Which contact to
send, and which fields the CRM owns, was decided before.

A canonical contact maps the names in `FIELDS`, and those of custom fields, to non-empty text. Phones are E.164,
optionally with `;ext=123`; the organisation is its id in Genesys.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from contact_sync.contacts.fields import ADDRESS, CUSTOM, EMAILS, MAX_EXTERNAL_IDS, NAMES, ORGANIZATION, PHONES
from contact_sync.genesys.answers import JsonObject, as_object, as_text

_TEXTS = (*NAMES, *EMAILS, "externalSystemUrl")
_ADDRESS = tuple(name.removeprefix("address.") for name in ADDRESS)
FIELDS = frozenset({*PHONES, *_TEXTS, *ADDRESS, ORGANIZATION})

_EXTENDED = re.compile(r"(?P<number>\+\d+);ext=(?P<extension>\d{1,15})")

_TYPED: Mapping[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "checkbox": "true".__eq__,
    "tag": json.loads,
}
"""The core types whose values are no text in JSON; the key of a custom field ends with its type."""


@dataclass(frozen=True, slots=True)
class ExternalId:
    """Our name for a contact: a value, at most 255 characters, under an ExternalSource (its GUID)."""

    source_id: str
    value: str = field(repr=False)  # a business key holds a phone number


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """The contact type that defines the custom fields: its id, and the version that has all of them."""

    id: str
    version: int


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
        only_filled: Fields that Genesys takes only where it has none.
        schema: Defines the custom fields; needed to send any.

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
    only_filled: frozenset[str] = frozenset()
    schema: SchemaVersion | None = None

    def __post_init__(self) -> None:
        count = len(self.external_ids)
        if not self.tracker or not 1 <= count <= MAX_EXTERNAL_IDS:
            msg = f"an upsert needs a tracker and 1 to {MAX_EXTERNAL_IDS} external ids, not {count}"
            raise ValueError(msg)
        if unknown := {name for name in (*self.contact, *self.clear) if not _is_sendable(name)}:
            msg = f"upsert {self.tracker}: not fields of a contact: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        if both := self.contact.keys() & set(self.clear):
            msg = f"upsert {self.tracker}: both given and cleared: {', '.join(sorted(both))}"
            raise ValueError(msg)


def _is_sendable(name: str) -> bool:
    return name in FIELDS or name.startswith(CUSTOM)


def enrich_item(upsert: Upsert) -> JsonObject:
    """Return the bulk enrich item of `upsert`.

    Fields that the item omits keep their value in Genesys (PreferProvided), except those in `upsert.clear`: their
    rule AlwaysUseProvided lets the omission erase.
    """
    rules = [{"field": f"$.{name}", "action": "AlwaysUseProvided"} for name in upsert.clear]
    filled = sorted(upsert.only_filled & upsert.contact.keys())
    rules += [{"field": f"$.{name}", "action": "PreferExisting"} for name in filled]
    if upsert.release:
        rules.append({"field": "$.externalIds", "action": "AlwaysUseProvided", "arrayAction": "Replace"})
    return {
        "id": upsert.tracker,
        # Once they are one, the same request again finds the one and updates it.
        "action": "Merge" if upsert.merge else "Upsert",
        "matchingIdentifiers": [identifier(one) for one in upsert.matching or upsert.external_ids],
        "contact": {
            **_fields(upsert.contact),
            **_custom(upsert),
            "externalIds": [_external_id(one) for one in upsert.external_ids],
        },
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
    values[ORGANIZATION] = as_text(as_object(entity.get(ORGANIZATION)).get("id"))
    values |= {f"{CUSTOM}{key}": _text_of(value) for key, value in as_object(entity.get("customFields")).items()}
    return {name: value for name, value in values.items() if value}


def external_ids(entity: JsonObject) -> tuple[ExternalId, ...]:
    """Return the external ids that a Genesys contact carries."""
    return tuple(_stored_ids(entity.get("externalIds")))


def _fields(contact: Mapping[str, str]) -> JsonObject:
    fields: dict[str, object] = {name: contact[name] for name in _TEXTS if name in contact}
    fields |= {name: _phone(contact[name]) for name in PHONES if name in contact}
    address = {part: contact[f"address.{part}"] for part in _ADDRESS if f"address.{part}" in contact}
    fields |= {"address": address} if address else {}
    return fields | ({ORGANIZATION: {"id": contact[ORGANIZATION]}} if ORGANIZATION in contact else {})


def _custom(upsert: Upsert) -> JsonObject:
    """Return the custom fields with the schema that defines them; a contact without any needs none."""
    keys = {name: name.removeprefix(CUSTOM) for name in upsert.contact if name.startswith(CUSTOM)}
    if not keys:
        return {}
    values = {key: _TYPED.get(key.rpartition("_")[2], str)(upsert.contact[name]) for name, key in keys.items()}
    schema = {"schema": {"id": upsert.schema.id, "version": upsert.schema.version}} if upsert.schema else {}
    return {**schema, "customFields": values}


def _text_of(value: object) -> str | None:
    """Return a custom field's value as canonical contacts have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{Decimal(repr(value)).normalize() + 0:f}"
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False) if value else None
    return as_text(value)


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
