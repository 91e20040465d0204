"""Queries for contacts: which rows, in which order, page by page, and how they are written.

What belongs here: the query options and preferences of a listing. Conditions belong to `filters`, aggregation to
`fetchxml`, change tracking to `tracking`.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from contact_sync.simulator.dataverse.errors import Json, ODataError, no_property, not_parsed
from contact_sync.simulator.dataverse.filters import condition_of
from contact_sync.simulator.dataverse.table import ContactTable, Row

FORMATTED = "OData.Community.Display.V1.FormattedValue"
COUNT_LIMIT = 5000
"""The largest number that `$count=true` tells."""

_OPTIONS = frozenset({"$select", "$filter", "$orderby", "$top", "$count", "$skiptoken"})
_WORDS: Mapping[str, Mapping[object, str]] = {
    "statecode": {0: "Active", 1: "Inactive"},
    "merged": {True: "Yes", False: "No"},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for contacts.

    Attributes:
        url: Its address without the query.
        options: The query, decoded, in order.
        prefer: The Prefer headers, joined.
    """

    url: str
    options: Mapping[str, str]
    prefer: str

    def page_size(self, most: int) -> int:
        """Return the rows of a page."""
        wanted = re.search(r"odata\.maxpagesize=(\d+)", self.prefer)
        return min(most, int(wanted[1])) if wanted else most

    @property
    def annotated(self) -> bool:
        """Whether formatted values are wanted."""
        wanted = re.search(r'odata\.include-annotations="([^"]*)"', self.prefer)
        return bool(wanted) and bool({"*", FORMATTED} & set(wanted[1].split(",") if wanted else ()))

    def link(self, **changed: str) -> str:
        """Return the absolute address of the same request with other options, those that are empty left out."""
        options = dict(self.options) | {f"${name}": value for name, value in changed.items()}
        return f"{self.url}?{'&'.join(f'{name}={quote(value)}' for name, value in options.items() if value)}"


def listing(asked: Asked, table: ContactTable, most: int) -> Json:
    """Return a page of the contacts that are asked for.

    Raises:
        ODataError: 400: an option is unknown or wrong.
    """
    for option in asked.options.keys() - _OPTIONS:
        raise not_parsed(f"The query parameter {option} is not supported.")
    selected = selection(asked, table)
    order = _order(asked.options.get("$orderby", "contactid"), table)
    rows = _matching(asked, table)
    answer: Json = {"value": []}
    if asked.options.get("$count") == "true":
        answer["@odata.count"] = min(COUNT_LIMIT, len(rows))
    keyed = sorted(((_key(row, order), row) for row in rows), key=lambda one: one[0])
    if token := asked.options.get("$skiptoken"):
        reached = unpacked("page", token)
        keyed = [one for one in keyed if one[0] > reached]
    top = asked.options.get("$top")
    page = keyed[: int(top) if top else asked.page_size(most)]
    if len(page) < len(keyed) and not top:
        answer["@odata.nextLink"] = asked.link(skiptoken=packed("page", page[-1][0]))
    answer["value"] = [written(row, selected, table, annotated=asked.annotated) for _, row in page]
    return answer


def selection(asked: Asked, table: ContactTable) -> Sequence[str]:
    """Return the properties that `$select` names, all without one.

    Raises:
        ODataError: 400: there is no such property.
    """
    select = asked.options.get("$select")
    names = select.split(",") if select else list(table.properties)
    for name in names:
        if name not in table.properties:
            raise no_property(name)
    return names


def written(row: Row, selected: Sequence[str], table: ContactTable, *, annotated: bool) -> Json:
    """Return a row as an answer has it; its id and ETag always come."""
    shown: Json = {"@odata.etag": f'W/"{row["versionnumber"]}"'}
    for name in selected:
        shown[name] = plain(row[name])
        if annotated and (words := _formatted(name, row[name], table)):
            shown[f"{name}@{FORMATTED}"] = words
    return shown | {"contactid": row["contactid"]}


def plain(value: object) -> Any:  # noqa: ANN401 -- JSON
    """Return a value as JSON has it: times in UTC, to the second."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def packed(kind: str, state: Sequence[object]) -> str:
    """Return an opaque token for where to go on."""
    return base64.urlsafe_b64encode(json.dumps([kind, *state]).encode()).decode()


def unpacked(kind: str, token: str) -> list[Any]:
    """Return what `packed` was given.

    Raises:
        ODataError: 400: the token is none, or of another kind.
    """
    state: list[Any]
    try:
        given, *state = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):
        given, state = "", []
    if given != kind:
        raise ODataError(400, "0x80041129", "Malformed paging cookie.")
    return state


def _matching(asked: Asked, table: ContactTable) -> list[Row]:
    text = asked.options.get("$filter")
    rows = list(table.rows.values())
    if text is None:
        return rows
    condition = condition_of(text, table.properties)
    return [row for row in rows if condition(row)]


def _order(text: str, table: ContactTable) -> Sequence[str]:
    names = [part.strip().removesuffix(" asc") for part in text.split(",")]
    for name in names:
        if name not in table.properties:
            raise no_property(name)
    return names


def _key(row: Row, order: Sequence[str]) -> list[Any]:
    return [plain(row[name]) for name in order]


def _formatted(name: str, value: object, table: ContactTable) -> str | None:
    if name == "_parentcustomerid_value":
        return table.accounts.get(str(value))
    return _WORDS.get(name, {}).get(value)
