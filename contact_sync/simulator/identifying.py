"""Identifiers on the wire: reading them, looking them up, claiming and releasing them.

What belongs here: ContactIdentifier in requests. Who owns what is the index's knowledge.
"""

from contact_sync.simulator import phones
from contact_sync.simulator.errors import ApiError, Fault, Json, bad_request, conflict, invalid, not_found
from contact_sync.simulator.identifiers import CONTACT_TYPES, EMAIL_FIELDS, PHONE_FIELDS, Identifier
from contact_sync.simulator.kinds import MAX_EXTERNAL_IDS
from contact_sync.simulator.service import RecordService

MAX_VALUE = 255


def read(written: object) -> Identifier:
    """Return the identifier of a ContactIdentifier; e-mail addresses ignore case, numbers need `+` and country.

    Raises:
        ApiError: 422.
    """
    if not isinstance(written, dict):
        raise invalid([Fault("identifier", "must be an object")])
    kind, value = written.get("type"), written.get("value")
    if kind not in CONTACT_TYPES:
        raise invalid([Fault("type", "is not an identifier type")])
    if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_VALUE:
        raise invalid([Fault("value", f"must be a string of 1 to {MAX_VALUE} characters")])
    return _normal(str(kind), value.strip(), written)


def _normal(kind: str, value: str, written: Json) -> Identifier:
    if kind == "ExternalId":
        source = written.get("externalSource")
        if not isinstance(source, dict) or not isinstance(source.get("id"), str):
            raise invalid([Fault("externalSource", "is required")])
        return Identifier(kind, value, source["id"])
    if kind == "Email":
        return Identifier(kind, value.lower())
    if kind == "SocialTwitter":
        return Identifier(kind, value.lstrip("@").lower())
    if kind not in {"Phone", "SocialWhatsapp"}:
        return Identifier(kind, value)
    e164 = phones.e164(value if kind == "Phone" else f"+{value.lstrip('+')}")
    if e164 is None:
        raise invalid([Fault("value", "must be a number with + and country code")])
    return Identifier(kind, e164)


def lookup(service: RecordService, body: Json) -> tuple[str, Json]:
    """Return the record that owns the identifier.

    Raises:
        ApiError: 404 when nobody does, 422.
    """
    found = service.store.owner(read(body))
    if found is None:
        raise not_found("not.found", "The requested resource was not found.")
    return found


def change_owner(service: RecordService, record_id: str, body: Json) -> Json:
    """Claim or release one identifier for a record: its value enters or leaves the record's fields.

    Raises:
        ApiError: 404, 409 identifier.claim.conflict, 422 when no field is free.
    """
    record_id, record = service.fetch(record_id)
    identifier = read(body.get("identifier"))
    operation = body.get("operation")
    if operation == "Claim":
        _claim(service, record_id, record, identifier)
    elif operation == "Release":
        _release(service, record_id, record, identifier)
    else:
        raise bad_request("Invalid operation type", "invalid.operation.type")
    return identifier.json()


def _claim(service: RecordService, record_id: str, record: Json, identifier: Identifier) -> None:
    owner = service.store.identifiers.owner(identifier)
    if owner == record_id:
        return
    if owner is not None:
        raise conflict("identifier.claim.conflict", "Identifier is already claimed")
    touched = service.cleaned(_placed(record, identifier))
    service.change(record_id, record, record | touched)


def _release(service: RecordService, record_id: str, record: Json, identifier: Identifier) -> None:
    if service.store.identifiers.owner(identifier) != record_id:
        message = "Identifier cannot be released because it is not claimed by the contact"
        raise not_found("identifier.cannot.be.released", message)
    service.change(record_id, record, _without(service, record, identifier))


def _placed(record: Json, identifier: Identifier) -> Json:
    """Return the field that takes the identifier in."""
    kind, value, source = identifier
    held = record.get("externalIds", [])
    if kind == "ExternalId" and len(held) < MAX_EXTERNAL_IDS:
        return {"externalIds": [*held, {"externalSource": {"id": source}, "value": value}]}
    slots = {"Email": EMAIL_FIELDS, "Phone": PHONE_FIELDS}.get(kind, ())
    free = next((name for name in slots if name not in record), None)
    if free is None:
        message = "Identifier cannot be claimed as there's no empty field on the contact to place the identifier"
        raise ApiError(422, "identifier.cannot.be.claimed", message)
    return {free: value if kind == "Email" else {"display": value}}


def _without(service: RecordService, record: Json, identifier: Identifier) -> Json:
    """Return the record without every value that stands for the identifier."""
    kept = dict(record)
    for name in service.kind.rules:
        if identifier not in service.kind.identify({name: record[name]} if name in record else {}):
            continue
        if name == "externalIds":
            mine = {"externalSource": {"id": identifier.source}, "value": identifier.value}
            kept[name] = [held for held in record[name] if held != mine]
        else:
            del kept[name]
    return kept
