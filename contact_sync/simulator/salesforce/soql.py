"""What a query finds among the records.

What belongs here: the meaning of fields, conditions, counts and order. The text of a query is `soql_syntax`'s.
"""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from contact_sync.simulator.salesforce.errors import ApiError, Json, invalid_field
from contact_sync.simulator.salesforce.records import Records, Values, with_checksum
from contact_sync.simulator.salesforce.schema import OBJECTS, Field, ObjectType
from contact_sync.simulator.salesforce.soql_syntax import Comparison, Condition, Junction, Query, Value, parse

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ID = re.compile(r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$")
_KEYS = frozenset({"id", "reference"})

Getter = Callable[[Values], Any]


@dataclass(frozen=True)
class Column:
    """A selected field: how it is written in a result, and where its value is."""

    path: tuple[str, ...]
    field: Field
    of: Getter


@dataclass(frozen=True)
class Found:
    """What a query found: rows with their columns, or a number for COUNT(), or numbers for COUNT(field)."""

    object: ObjectType
    columns: Sequence[Column]
    rows: Sequence[Values]
    count: int | None = None
    counts: Sequence[int] = ()


def find(text: str, records: Records, *, deleted: bool, hidden: frozenset[str] = frozenset()) -> Found:
    """Return what a query finds.

    Args:
        text: The SOQL.
        records: Where it looks.
        deleted: Whether the recycle bin is looked at, too.
        hidden: Fields that the user may not see, such as `Contact.Email`.

    Raises:
        ApiError: The query is not in order.
    """
    return _Search(parse(text), records, hidden).found(deleted=deleted)


class _Search:
    def __init__(self, query: Query, records: Records, hidden: frozenset[str]) -> None:
        self._query = query
        self._records = records
        self._hidden = hidden
        named = next((one for name, one in OBJECTS.items() if name.lower() == query.object.lower()), None)
        if named is None:
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{query.object}' is not supported.")
        self._object = named

    def found(self, *, deleted: bool) -> Found:
        query = self._query
        columns = [self._column(item.path) for item in query.items if item.path]
        matches = self._matcher(query.where) if query.where else bool
        keys = [(self._column(path).of, falls) for path, falls in query.order]
        rows = [row for row in self._records.all(self._object.name, deleted=deleted) if matches(row)]
        if any(item.counts for item in query.items):
            return self._counted(columns, rows)
        for of, falls in reversed(keys):
            rows.sort(key=lambda row, of=of: _sortable(of(row)), reverse=falls)  # type: ignore[misc]
        return Found(self._object, columns, rows[: query.limit])

    def _counted(self, columns: Sequence[Column], rows: Sequence[Values]) -> Found:
        if not columns:
            return Found(self._object, (), (), count=len(rows))
        if not all(item.counts for item in self._query.items):
            raise ApiError(400, "MALFORMED_QUERY", "Field must be grouped or aggregated")
        for column in columns:
            if not column.field.aggregatable:
                raise ApiError(400, "MALFORMED_QUERY", f"field {column.field.name} does not support aggregate")
        counts = [sum(column.of(row) is not None for row in rows) for column in columns]
        return Found(self._object, (), (), counts=counts)

    def _column(self, path: str) -> Column:
        """Return a field of the object, or of the parent that a relationship leads to."""
        relation, _, name = path.rpartition(".")
        if not relation:
            field = self._field(self._object, name)
            return Column((field.name,), field, _getter(field.name))
        parents = {key.lower(): (key, *leads) for key, leads in self._object.parents.items()}
        if relation.lower() not in parents:
            raise ApiError(400, "INVALID_FIELD", f"Didn't understand relationship '{relation}' in field path.")
        relation, parent_name, reference = parents[relation.lower()]
        field = self._field(OBJECTS[parent_name], name)

        def of_parent(row: Values) -> Any:  # noqa: ANN401 -- a value of any type
            parent = self._records.parent(parent_name, row[reference])
            return parent[field.name] if parent else None

        return Column((relation, field.name), field, of_parent)

    def _field(self, where: ObjectType, name: str) -> Field:
        field = where.find(name)
        if field is None or f"{where.name}.{field.name}" in self._hidden:
            raise invalid_field(name, where.name)
        return field

    def _matcher(self, condition: Condition) -> Callable[[Values], bool]:
        if isinstance(condition, Comparison):
            return self._test(condition)
        parts = [self._matcher(part) for part in condition.parts]
        return _joined(condition, parts)

    def _test(self, test: Comparison) -> Callable[[Values], bool]:
        column = self._column(test.path)
        if not column.field.filterable:
            raise ApiError(
                400, "INVALID_FIELD", f"field '{column.field.name}' can not be filtered in a query call"
            )
        of = column.of
        if isinstance(test.value, tuple):
            within = {_comparable(column.field, value) for value in test.value}
            wanted = test.operator == "IN"
            return lambda row: (_folded(column.field, of(row)) in within) == wanted
        value = _comparable(column.field, test.value)
        if test.operator in {"=", "!="}:
            wanted = test.operator == "="
            return lambda row: (_folded(column.field, of(row)) == value) == wanted
        compare = _COMPARE[test.operator]

        def compared(row: Values) -> bool:
            found = _folded(column.field, of(row))
            return found is not None and value is not None and bool(compare(found, value))

        return compared


def _joined(junction: Junction, parts: Sequence[Callable[[Values], bool]]) -> Callable[[Values], bool]:
    if junction.word == "NOT":
        return lambda row: not parts[0](row)
    whole = all if junction.word == "AND" else any
    return lambda row: whole(part(row) for part in parts)


def _getter(name: str) -> Getter:
    if name == "Name":
        return lambda row: row["Name"] or " ".join(filter(None, map(row.get, ("FirstName", "LastName")))) or None
    return operator.itemgetter(name)


def _folded(field: Field, value: Any) -> Any:  # noqa: ANN401 -- a value of any type
    """Return a stored value as it is compared: text in any case is the same, ids are not."""
    return value.lower() if isinstance(value, str) and field.type not in _KEYS else value


def _comparable(field: Field, value: Value) -> Any:  # noqa: ANN401 -- a value of any type
    """Return a literal as it is compared with a field's values.

    Raises:
        ApiError: It cannot be.
    """
    if value is None:
        return None
    expected: dict[str, type | tuple[type, ...]] = {"datetime": datetime, "boolean": bool, "double": float}
    fits = isinstance(value, expected.get(field.type, (str, date)))
    if field.type == "date":
        fits = isinstance(value, date) and not isinstance(value, datetime)
    elif field.type not in expected:
        fits = isinstance(value, str)
    if not fits:
        raise ApiError(
            400, "INVALID_FIELD", f"value of filter criterion for field '{field.name}' has a wrong type"
        )
    if field.type in _KEYS:
        return _key(str(value))
    return _folded(field, value)


def _key(value: str) -> str:
    if not _ID.match(value):
        raise ApiError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value}")
    return value if len(value) == 18 else with_checksum(value)


def _sortable(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 -- a value of any type
    return value is not None, value


def as_json(found: Found, row: Values, version: str) -> Json:
    """Return a row as a REST query answers it."""
    shown: Json = {"attributes": _attributes(found.object, row["Id"], version)}
    for column in found.columns:
        value = _written(column.of(row))
        if len(column.path) == 1:
            shown[column.path[0]] = value
            continue
        relation, name = column.path
        parent = row[found.object.parents[relation][1]]
        if parent is None:
            shown[relation] = None
        else:
            inner = shown.setdefault(
                relation, {"attributes": _attributes_of_parent(found, relation, parent, version)}
            )
            inner[name] = value
    return shown


def as_csv(columns: Iterable[Column], row: Values) -> list[str]:
    """Return a row as a query job's results have it: no value and empty text are the same."""
    return [_plain(column.of(row)) for column in columns]


def _attributes(where: ObjectType, crm_id: str, version: str) -> Json:
    return {"type": where.name, "url": f"/services/data/v{version}/sobjects/{where.name}/{crm_id}"}


def _attributes_of_parent(found: Found, relation: str, crm_id: str, version: str) -> Json:
    return _attributes(OBJECTS[found.object.parents[relation][0]], crm_id, version)


def _written(value: Any) -> Any:  # noqa: ANN401 -- a value of any type
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return value.isoformat() if isinstance(value, date) else value


def _plain(value: Any) -> str:  # noqa: ANN401 -- a value of any type
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
