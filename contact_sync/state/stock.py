"""What recognises the stored contacts, read in sets: by index for a small run, in one pass for a large one.

It is read in batches, each on a transaction of its own, so that processes can share the work. What belongs here:
reading thin columns of many rows fast. What they mean belongs to `contacts.matching`; whole links are read in
`links`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, literal, literal_column, select, text

from contact_sync.contacts.identity import identifiers
from contact_sync.contacts.matching import EXTERNAL, KEY, KNOWN, RECORD, RECORDS, RULES, Matching
from contact_sync.contacts.seen import RECORD as EXTERNAL_ID
from contact_sync.state.bulk import among, chunks, columns_of
from contact_sync.state.tables import CONTACT_LINK, IN_FLIGHT, MIRROR_IDENTIFIER

BATCH = 20_000
"""Values asked for at once, and rows read at once."""

PAGES = 500
"""Pages of a table that are read at once on PostgreSQL."""

_PAGE = 8192

SCAN_FROM = 0.1
"""Values wanted, as a share of the rows stored, from which one pass over all of them is faster than the index."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of what is stored.

    Attributes:
        name: What is read: one of `OF_RECORDS` or `OF_CONTACTS`.
        values: The values that are looked up; None for all that lies between two places of the table.
        between: These places: rows of SQLite, pages of PostgreSQL; the end is not part of it.
    """

    name: str
    values: Sequence[str] | None = field(default=None, repr=False)
    between: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Thin:
    """Thin columns of a table: the query, the column in which values are looked up, and by which rules."""

    query: Select[Any]
    column: ColumnElement[Any]
    rules: tuple[str, ...]

    @property
    def table(self) -> Table:
        table: Table = self.column.table
        return table


def _records(table: Table) -> _Thin:
    of = table.c
    return _Thin(select(of.crm_id, of.business_key, of.contact), of.crm_id, (RECORD,))


def _keys(table: Table) -> _Thin:
    of = table.c
    query = select(literal(KEY).label("rule"), of.business_key.label("value"), of.contact)
    return _Thin(query.where(of.contact.is_not(None), of.business_key.is_not(None)), of.business_key, (KEY,))


def _mirror() -> _Thin:
    of = MIRROR_IDENTIFIER.c
    rule = case((of.rule == EXTERNAL_ID, EXTERNAL), else_=of.rule).label("rule")
    return _Thin(select(rule, of.value, of.contact), of.value, (KEY, EXTERNAL, *RULES))


_THIN: Mapping[str, _Thin] = {
    "linked records": _records(CONTACT_LINK),
    "sent records": _records(IN_FLIGHT),
    "linked keys": _keys(CONTACT_LINK),
    "sent keys": _keys(IN_FLIGHT),
    "identifiers": _mirror(),
}

OF_RECORDS = ("linked records", "sent records")
"""What `Matching.add_records` is told, before the rest: by it the rows learn the keys that they once got."""

OF_CONTACTS = ("linked keys", "sent keys", "identifiers")
"""What `Matching.add_known` is told."""


def wanted(connection: Connection, matching: Matching, names: Collection[str]) -> Iterator[Batch]:
    """Yield the batches that tell which stored contacts the rows of `matching` may be."""
    for name in names:
        thin = _THIN[name]
        stored = connection.execute(select(func.count()).select_from(thin.table)).scalar_one()
        if matching.size(*thin.rules) <= SCAN_FROM * stored:
            yield from (Batch(name, some) for some in chunks(matching.values(*thin.rules), BATCH))
        else:
            yield from (Batch(name, between=some) for some in _spans(connection, thin.table))


def read(connection: Connection, source: str, batch: Batch) -> pa.Table:
    """Return a batch: a table of `RECORDS`, those of `source`, or of `KNOWN`."""
    thin = _THIN[batch.name]
    query = thin.query
    if batch.values is not None:
        query = query.where(among(connection, thin.column, batch.values))
    if batch.between:
        query = query.where(_lies_between(connection, thin.table, *batch.between))
    if batch.name in OF_RECORDS:
        of = thin.table.c.source
        # Of an expression there is no index, by which each batch would read all of a source.
        query = query.where((func.coalesce(of, "") if batch.between else of) == source)
    return _read(connection, query, RECORDS if batch.name in OF_RECORDS else KNOWN)


def in_flight(connection: Connection) -> pa.Table:
    """Return what recognises the contacts that requests without an answer carried (`KNOWN`)."""
    query = select(IN_FLIGHT.c.contact, IN_FLIGHT.c.account, IN_FLIGHT.c.fields)
    rows = [
        {"rule": rule, "value": value, "contact": contact}
        for contact, account, fields in connection.execute(query)
        for rule, value in identifiers(account, fields)
    ]
    return pa.Table.from_pylist(rows, schema=KNOWN)


def _spans(connection: Connection, table: Table) -> Iterator[tuple[int, int]]:
    if connection.dialect.name == "sqlite":
        last, step = select(func.coalesce(func.max(_row(table)) + 1, 0)).select_from(table), BATCH
    else:
        last, step = select(func.pg_relation_size(table.name) // _PAGE + 1), PAGES
    end = int(connection.execute(last).scalar_one())
    yield from ((start, start + step) for start in range(0, end, step))


def _lies_between(connection: Connection, table: Table, start: int, end: int) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        return (_row(table) >= start) & (_row(table) < end)
    return text(f"{table.name}.ctid >= '({start},0)'::tid AND {table.name}.ctid < '({end},0)'::tid")  # type: ignore[return-value]


def _row(table: Table) -> ColumnElement[int]:
    return literal_column(f"{table.name}.rowid")


def _read(connection: Connection, query: Select[Any], schema: pa.Schema) -> pa.Table:
    if connection.dialect.name == "sqlite":
        columns: Sequence[Any] = columns_of(connection, query)
    else:
        columns = list(zip(*connection.execute(query), strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)
