"""The core types that custom fields are made of.

What belongs here: each type's limits, its description on the wire, and checking definitions and values against it.
Schemas as a whole are `schemas`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from contact_sync.simulator.errors import ApiError, Fault, Json, bad_request, not_found
from contact_sync.simulator.fields import is_url

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_EXTREME = 9_007_199_254_740_991
_ITEM = 100
MAX_TAGS = 10
MAX_OPTIONS = 50
_LIMITS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"})
_LIMIT_ERROR = "dynamic.schema.validation.limit.error"


@dataclass(frozen=True, slots=True)
class CoreType:
    """A core type: `length` limits strings; a type without one has its own check."""

    name: str
    json_type: str
    length: int = 0


_ALL = (
    CoreType("text", "string", 100),
    CoreType("longtext", "string", 1000),
    CoreType("url", "string", 200),
    CoreType("identifier", "string", 100),
    CoreType("enum", "string", _ITEM),
    CoreType("date", "string"),
    CoreType("datetime", "string"),
    CoreType("integer", "integer"),
    CoreType("number", "number"),
    CoreType("checkbox", "boolean"),
    CoreType("tag", "array"),
)
CORE_TYPES: Mapping[str, CoreType] = {one.name: one for one in _ALL}


def name_of(definition: object) -> str:
    """Return the core type's name in a field's definition, empty when it names none."""
    try:
        reference = definition["allOf"][0]["$ref"]  # type: ignore[index]
    except (LookupError, TypeError):
        return ""
    return str(reference).removeprefix("#/definitions/")


def read_definition(name: str, definition: object) -> Json:
    """Return one field of a schema, without the limits that were left null.

    Raises:
        ApiError: 400 when it names no core type, is unreadable or asks for more than the type allows.
    """
    core = CORE_TYPES.get(name_of(definition))
    if core is None or not isinstance(definition, dict):
        raise _invalid(name)
    kept = {key: value for key, value in definition.items() if value is not None}
    if not all(_is_number(kept[limit]) for limit in _LIMITS & kept.keys()):
        raise _invalid(name)
    if core.length and kept.get("maxLength", 0) > core.length:
        raise bad_request(f"The limit of {core.name} is {core.length} characters.", _LIMIT_ERROR)
    if core.name == "enum":
        _check_options(name, kept.get("enum", []))
    return kept


def _check_options(name: str, options: object) -> None:
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise _invalid(name)
    if not 1 <= len(options) <= MAX_OPTIONS:
        raise bad_request(f"An enum has 1 to {MAX_OPTIONS} options.", _LIMIT_ERROR)


def _invalid(name: str) -> ApiError:
    return bad_request(f"Field {name} is not a readable core type.", "dynamic.schema.invalid.json.schema")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def faults(values: Json, definitions: Mapping[str, Json]) -> list[Fault]:
    """Return the faults of custom field values; null values are no values."""
    found = []
    for name, value in values.items():
        if value is None:
            continue
        definition = definitions.get(name)
        reason = "no such field in the schema" if definition is None else _reason(value, definition)
        if reason:
            found.append(Fault(f"customFields.{name}", reason, value if isinstance(value, str) else ""))
    return found


def _reason(value: object, definition: Json) -> str:
    core = CORE_TYPES[name_of(definition)]
    if core.json_type == "string":
        return _string_reason(value, core, definition)
    if core.json_type == "boolean":
        return "" if isinstance(value, bool) else "must be a boolean"
    if core.json_type == "array":
        return _tags_reason(value, definition)
    return _number_reason(value, core, definition)


def _string_reason(value: object, core: CoreType, definition: Json) -> str:
    if not isinstance(value, str):
        return "must be a string"
    shortest, longest = definition.get("minLength", 0), definition.get("maxLength", core.length)
    if longest and not shortest <= len(value) <= longest:
        return f"must have {shortest} to {longest} characters"
    if core.name == "enum" and value not in definition["enum"]:
        return "must be one of the options"
    if core.name == "url" and not is_url(value):
        return "must be a URL"
    return _moment_reason(value, core.name) if core.name in {"date", "datetime"} else ""


def _moment_reason(value: str, kind: str) -> str:
    try:
        if kind == "date":
            date.fromisoformat(value)
        else:
            datetime.fromisoformat(value)
    except ValueError:
        return f"must be an ISO-8601 {kind}"
    if (kind == "date") != bool(_DATE.fullmatch(value)):
        return f"must be an ISO-8601 {kind}"
    return ""


def _number_reason(value: object, core: CoreType, definition: Json) -> str:
    numeric = int if core.name == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, numeric):
        return f"must be of type {core.json_type}"
    lowest, highest = definition.get("minimum", -_EXTREME), definition.get("maximum", _EXTREME)
    if not lowest <= value <= highest:
        return f"must be between {lowest} and {highest}"
    return ""


def _tags_reason(value: object, definition: Json) -> str:
    most = min(definition.get("maxItems", MAX_TAGS), MAX_TAGS)
    if not isinstance(value, list) or len(value) > most:
        return f"must be an array of at most {most} tags"
    if not all(isinstance(tag, str) and len(tag) <= _ITEM for tag in value):
        return f"every tag must be a string of at most {_ITEM} characters"
    return ""


def described(name: str, path: str) -> Json:
    """Return the Coretype `name`.

    Raises:
        ApiError: 404.
    """
    core = CORE_TYPES.get(name)
    if core is None:
        raise not_found("not.found", "The requested resource was not found.")
    return {
        "id": core.name,
        "name": core.name,
        "version": 1,
        "schema": {"title": core.name, "description": f"A {core.name} field.", "type": [core.json_type]},
        "current": True,
        "selfUri": f"{path}/{core.name}",
    } | _limits(core)


def listing(path: str) -> Json:
    """Return all core types."""
    entities = [described(name, path) for name in CORE_TYPES]
    return {"total": len(entities), "entities": entities, "selfUri": path}


def _limits(core: CoreType) -> Json:
    if core.name == "tag":
        pair = {"minItems": {"min": 0, "max": MAX_TAGS}, "maxItems": {"min": 1, "max": MAX_TAGS}}
    elif core.length:
        pair = {"minLength": {"min": 0, "max": core.length}, "maxLength": {"min": 1, "max": core.length}}
    elif core.json_type in {"integer", "number"}:
        span = {"min": -_EXTREME, "max": _EXTREME}
        pair = {"minimum": span, "maximum": span}
    else:
        return {"validationFields": []}
    return {"validationFields": list(pair), "validationLimits": pair}
