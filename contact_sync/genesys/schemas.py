"""The contact type that defines our custom fields: found by its title, created or extended, never shrunk.

What belongs here: the requests, and what a definition looks like on the wire. Which fields there are is the
registry's, when they are looked after `steps.custom_fields`'.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contact_sync.contacts.fields import MAX_CUSTOM_FIELDS, MAX_CUSTOM_LENGTH, MAX_OPTIONS, MAX_TAGS, CustomField
from contact_sync.genesys.answers import JsonObject, as_object, as_text
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError, GenesysRowError
from contact_sync.genesys.payloads import SchemaVersion
from contact_sync.genesys.transport import Transport

SCHEMAS = "/api/v2/externalcontacts/contacts/schemas"

_ATTEMPTS = 5  # versions of others that may come between reading the schema and writing it
_DIALECT = "http://json-schema.org/draft-04/schema#"


@dataclass(frozen=True, slots=True)
class ContactSchema:
    """A contact type as Genesys has it.

    Attributes:
        version: Its id and newest version.
        title: How it is called.
        enabled: Whether contacts may use it.
        properties: The definitions of its fields, by key.
    """

    version: SchemaVersion
    title: str
    enabled: bool
    properties: Mapping[str, JsonObject]

    def lacking(self, fields: Iterable[CustomField]) -> list[str]:
        """Return the keys of fields that it has not, or not with all their options."""
        return [field.key for field in fields if _extended(self.properties.get(field.key), field) is not None]


def find_schema(transport: Transport, title: str) -> ContactSchema | None:
    """Return the contact type called `title`, the oldest if there are several; None if there is none.

    Raises:
        GenesysError: It could not be asked for.
    """
    entities = as_object(transport.get(SCHEMAS).body).get("entities")
    found = [as_object(one) for one in (entities if isinstance(entities, list) else ())]
    titled = sorted(
        (one for one in found if title in {one.get("name"), as_object(one.get("jsonSchema")).get("title")}),
        key=lambda one: (str(one.get("dateCreated")), str(one.get("id"))),
    )
    return _read(titled[0]) if titled else None


def ensure_schema(transport: Transport, title: str, fields: Sequence[CustomField]) -> SchemaVersion:
    """Return the version of the contact type called `title` that has all of `fields`, after adding what it lacks.

    What others define in it stays as it is. A lost answer or somebody else's version is looked at again.

    Raises:
        GenesysFatalError: It is disabled, it would have too many fields or options, or Genesys refuses it.
        GenesysRetryableError: Genesys did not answer, or others kept changing it.
    """
    failure: GenesysError | None = None
    for _ in range(_ATTEMPTS):
        found = find_schema(transport, title)
        if found and not found.lacking(fields):
            return _usable(found).version
        try:
            _write(transport, title, found, fields)
        except GenesysRowError as refused:
            if refused.status != 409:
                raise GenesysFatalError(
                    f"Genesys refuses the custom fields of the registry ({refused.code}): look at its limits for "
                    f"the contact type {title!r}",
                    status=refused.status,
                    code=refused.code,
                ) from None
            failure = refused
        except GenesysRetryableError as unanswered:
            failure = unanswered
    msg = f"the contact type {title!r} could not be brought up to date: {failure}"
    raise GenesysRetryableError(msg)


def require_room(found: ContactSchema, fields: Sequence[CustomField]) -> None:
    """Refuse fields that a contact type has no room for.

    Raises:
        GenesysFatalError: It is disabled, or with the type, the limit and what to do.
    """
    _usable(found)
    new = {field.key for field in fields} - found.properties.keys()
    if (count := len(found.properties) + len(new)) > MAX_CUSTOM_FIELDS:
        raise GenesysFatalError(
            f"the contact type {found.title!r} would have {count} fields, and Genesys takes {MAX_CUSTOM_FIELDS}: "
            "take lines out of the registry, or name another type with registry.custom_schema"
        )
    for field in fields:
        definition = _extended(found.properties.get(field.key), field) or {}
        options = definition.get("enum")
        if isinstance(options, list) and len(options) > MAX_OPTIONS:
            raise GenesysFatalError(
                f"{field.key} would have {len(options)} options, and Genesys takes {MAX_OPTIONS}: take some out"
            )


def _usable(found: ContactSchema) -> ContactSchema:
    if not found.enabled:
        raise GenesysFatalError(
            f"the contact type {found.title!r} is disabled in Genesys: enable it, or name another with "
            "registry.custom_schema"
        )
    return found


def _write(transport: Transport, title: str, found: ContactSchema | None, fields: Sequence[CustomField]) -> None:
    """Create the contact type, or its next version. Not repeated: a second creation would make a second type."""
    if found is None:
        defined: dict[str, JsonObject] = {field.key: _definition(field) for field in fields}
        transport.post(SCHEMAS, _body(title, 1, defined), repeat=False)
        return
    require_room(found, fields)
    added = {field.key: _extended(found.properties.get(field.key), field) for field in fields}
    properties = {**found.properties, **{key: new for key, new in added.items() if new is not None}}
    transport.put(f"{SCHEMAS}/{found.version.id}", _body(found.title, found.version.version, properties))


def _body(title: str, version: int, properties: Mapping[str, JsonObject]) -> JsonObject:
    document = {"$schema": _DIALECT, "title": title, "type": "object", "properties": properties}
    return {"name": title, "version": version, "enabled": True, "jsonSchema": document}


def _definition(field: CustomField) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "allOf": [{"$ref": f"#/definitions/{field.type}"}],
        "title": field.name,
        "description": "Filled by contact_sync.",
    }
    if field.type == "enum":
        options = {option: {"title": option, "_disabled": False} for option in field.options}
        return definition | {"enum": list(options), "_enumProperties": options}
    if field.type == "tag":
        return definition | {"minItems": 0, "maxItems": MAX_TAGS}
    if length := MAX_CUSTOM_LENGTH.get(field.type):
        return definition | {"minLength": 0, "maxLength": length}
    return definition


def _extended(known: JsonObject | None, field: CustomField) -> JsonObject | None:
    """Return what a field's definition has to become, None if it may stay as it is."""
    if known is None:
        return _definition(field)
    options = known.get("enum")
    there = [str(one) for one in options] if isinstance(options, list) else []
    if new := [option for option in field.options if option not in there]:
        more = _definition(field)["_enumProperties"]
        properties = {**as_object(known.get("_enumProperties")), **{option: more[option] for option in new}}
        return {**known, "enum": [*there, *new], "_enumProperties": properties}
    return None


def _read(schema: JsonObject) -> ContactSchema:
    found, version = as_text(schema.get("id")), schema.get("version")
    if found is None or not isinstance(version, int):
        raise GenesysFatalError("Genesys answered without the id or version of a contact type")
    document = as_object(schema.get("jsonSchema"))
    properties = {key: as_object(one) for key, one in as_object(document.get("properties")).items()}
    title = as_text(document.get("title")) or as_text(schema.get("name")) or ""
    return ContactSchema(SchemaVersion(found, version), title, schema.get("enabled") is not False, properties)
