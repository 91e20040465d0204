"""Genesys' published contract, for checking requests and responses against it.

What belongs here: reading the OpenAPI document and naming departures from it. The document is not part of the
project; where it is absent, `AVAILABLE` is False and every check passes.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from jsonschema import Draft4Validator, FormatChecker

DOCUMENT = Path(__file__).parents[1] / "../shared/reference/genesys-openapi.json"
AVAILABLE = DOCUMENT.exists()
Json = dict[str, Any]

# Where these appear inside another definition they are references: an id stands for the whole.
_REFERENCED = frozenset({"DataSchema", "ExternalOrganization", "ExternalSource"})
# Enrich promises only the code and message of ErrorBody, which its answers may still be.
_OPEN = frozenset({"ErrorInfo"})
_METHODS = frozenset({"get", "put", "post", "patch", "delete", "head"})


class ContractError(AssertionError):
    """A request or response departs from the contract."""


def validate_response(method: str, path: str, status: int, body: object) -> None:
    """Check one response: the status is declared, the body has its shape, an error has a declared code.

    Raises:
        ContractError: It departs from the contract.
    """
    if not AVAILABLE:
        return
    operation = _operation(method, path)
    declared = operation["responses"].get(str(status))
    if declared is None:
        raise ContractError(f"{method} {path}: status {status} is not declared")
    if schema := declared.get("schema"):
        _check(schema, body, f"{method} {path} {status} response", nullable=False)
    codes = declared.get("x-inin-error-codes") or {}
    if codes and isinstance(body, dict) and body.get("code") not in codes:
        raise ContractError(f"{method} {path} {status}: error code {body.get('code')} is not declared")


def validate_request(method: str, path: str, body: object) -> None:
    """Check one request: the operation exists, its query parameters are known, the body has its shape.

    Raises:
        ContractError: It departs from the contract.
    """
    if not AVAILABLE:
        return
    parameters = _operation(method, path).get("parameters") or []
    known = {one["name"] for one in parameters if one["in"] == "query"}
    if unknown := _query_names(path) - known:
        raise ContractError(f"{method} {path}: unknown query parameters {sorted(unknown)}")
    schema = next((one["schema"] for one in parameters if one["in"] == "body"), None)
    if schema is None and body is not None:
        raise ContractError(f"{method} {path}: the operation takes no body")
    if schema is not None:
        _check(schema, body, f"{method} {path} request", nullable=True)


def check_exchange(response: requests.Response, *_args: object, **_options: object) -> None:
    """Check a whole exchange: `session.hooks["response"].append(check_exchange)`.

    A request that was refused with 4xx may be as wrong as it likes. Calls that are not part of the API, such as
    the token's, pass.

    Raises:
        ContractError: The exchange departs from the contract.
    """
    parts = urlsplit(response.request.url or "")
    path = str(parts.path)
    if not path.startswith("/api/v2/"):
        return
    method = response.request.method or ""
    if response.ok:
        sent = response.request.body
        validate_request(method, f"{path}?{parts.query!s}", json.loads(sent) if sent else None)
    validate_response(method, path, response.status_code, response.json() if response.content else None)


def permissions(method: str, path: str) -> tuple[str, set[str]]:
    """Return whether ANY or ALL of the permissions are needed, and which; empty where none is."""
    needed = _operation(method, path).get("x-inin-requires-permissions") or {}
    return needed.get("type", ""), set(needed.get("permissions", ()))


@cache
def _document() -> Json:
    document = cast("Json", json.loads(DOCUMENT.read_text(encoding="utf-8")))
    newer = document["_sdk269_additions"]["enum_additions"]["ContactIdentifier.type"]
    document["definitions"]["ContactIdentifier"]["properties"]["type"]["enum"] += newer
    return document


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """Return the paths as patterns, those with the fewest parameters first."""
    paths = sorted(_document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def _operation(method: str, path: str) -> Json:
    bare = path.partition("?")[0]
    for pattern, template in _templates():
        operations = _document()["paths"][template]
        if pattern.fullmatch(bare) and method.lower() in _METHODS & operations.keys():
            return cast("Json", operations[method.lower()])
    raise ContractError(f"{method} {bare} is not an operation of the contract")


def _query_names(path: str) -> set[str]:
    return {pair.partition("=")[0] for pair in path.partition("?")[2].split("&") if pair}


def _check(schema: Json, body: object, what: str, *, nullable: bool) -> None:
    errors = _validator(json.dumps(schema), nullable=nullable).iter_errors(body)
    if problems := [f"{error.json_path}: {error.message[:200]}" for error in errors]:
        raise ContractError(f"{what}: {'; '.join(problems[:5])}")


@cache
def _validator(schema: str, *, nullable: bool) -> Draft4Validator:
    root = json.loads(schema)
    name = root.get("$ref", "").rpartition("/")[2]
    root = _document()["definitions"][name] if name else root
    closed = root if name in _OPEN else _closed(root, nullable=nullable)
    root = closed | {"definitions": _nested_definitions(nullable=nullable)}
    return Draft4Validator(root, format_checker=_formats())


@cache
def _nested_definitions(*, nullable: bool) -> Mapping[str, Json]:
    nested = {}
    for name, definition in _document()["definitions"].items():
        without = {"required"} if name in _REFERENCED else set()
        kept = {key: value for key, value in definition.items() if key not in without}
        nested[name] = _closed(kept, nullable=nullable)
    return nested


def _closed(definition: Json, *, nullable: bool) -> Json:
    """Return a definition that allows no unknown members, and null for known ones if `nullable`."""
    if definition.get("items"):
        return definition | {"items": _closed(definition["items"], nullable=nullable)}
    if not definition.get("properties"):
        return definition
    members = {name: _member(one, nullable=nullable) for name, one in definition["properties"].items()}
    return {"additionalProperties": False} | definition | {"properties": members}


def _member(schema: Json, *, nullable: bool) -> Json:
    inner = schema.get("additionalProperties")
    if schema.get("type") == "object" and not schema.get("properties"):
        # Swagger 2 has no way to say "any value" but an object without members.
        schema = {"additionalProperties": {}} if inner == {"type": "object"} else {}
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    checker.checks("date-time", ValueError)(_is_moment)
    return checker


def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def install(session: requests.Session) -> None:
    """Check every exchange of `session` from now on."""
    session.hooks["response"].append(check_exchange)


def missing_operations(served: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of the served (method, path) pairs that the contract does not have."""
    return [pair for pair in served if AVAILABLE and not _has(*pair)]


def _has(method: str, path: str) -> bool:
    try:
        _operation(method, path)
    except ContractError:
        return False
    return True
