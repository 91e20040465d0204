"""What recognises the stored contacts, read in sets: by index for a small run, in one pass for a large one.

What belongs here: reading thin columns of many rows fast. What they mean belongs to `contacts.matching`; whole
links are read in `links`.
"""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Integer, Select, case, func, literal, literal_column, select

from contact_sync.contacts.identity import identifiers
from contact_sync.contacts.matching import EXTERNAL, KEY, KNOWN, RECORD, RECORDS, RULES, Matching
from contact_sync.contacts.seen import RECORD as EXTERNAL_ID
from contact_sync.state.bulk import among, chunks
from contact_sync.state.tables import CONTACT_LINK, IN_FLIGHT, MIRROR_IDENTIFIER

BATCH = 20_000
"""Values asked for at once, and rows read at once."""

SCAN_FROM = 0.1
"""Values wanted, as a share of the rows stored, from which one pass over all of them is faster than the index."""


def learn(connection: Connection, matching: Matching, source: str) -> None:
    """Tell `matching` what recognises the stored contacts that its rows may be.

    Args:
        connection: An open transaction.
        matching: It has been told the rows.
        source: Whose records the rows are.
    """
    for table in (CONTACT_LINK, IN_FLIGHT):
        of = table.c
        records = select(of.crm_id, of.business_key, of.contact).where(of.source == source)
        for batch in _batches(connection, records, of.crm_id, RECORDS, matching, RECORD):
            matching.add_records(batch)
    for table in (CONTACT_LINK, IN_FLIGHT):
        of = table.c
        keys = select(literal(KEY), of.business_key, of.contact).where(
            of.contact.is_not(None), of.business_key.is_not(None)
        )
        for batch in _batches(connection, keys, of.business_key, KNOWN, matching, KEY):
            matching.add_known(batch)
    mirror = MIRROR_IDENTIFIER.c
    rule = case((mirror.rule == EXTERNAL_ID, EXTERNAL), else_=mirror.rule)
    recognised = select(rule, mirror.value, mirror.contact)
    for batch in _batches(connection, recognised, mirror.value, KNOWN, matching, KEY, EXTERNAL, *RULES):
        matching.add_known(batch)
    matching.add_known(_in_flight(connection))


def _batches(
    connection: Connection,
    query: Select[Any],
    column: ColumnElement[Any],
    schema: pa.Schema,
    matching: Matching,
    *rules: str,
) -> Iterator[pa.Table]:
    """Yield what `query` finds for the values of rules in `column`; all of it, where this is faster."""
    stored = connection.execute(select(func.count()).select_from(column.table)).scalar_one()
    if matching.size(*rules) <= SCAN_FROM * stored:
        for some in chunks(matching.values(*rules), BATCH):
            yield from _read(connection, query.where(among(connection, column, some)), schema)
    elif connection.dialect.name == "sqlite":
        for rows in _spans(connection, column):
            yield from _read(connection, query.where(rows), schema)
    else:
        yield from _read(connection, query, schema)


def _spans(connection: Connection, column: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that cut a SQLite table into batches."""
    row = literal_column(f"{column.table.name}.rowid", Integer)
    last = connection.execute(select(func.max(row)).select_from(column.table)).scalar_one() or 0
    for start in range(0, last, BATCH):
        yield row.between(start + 1, start + BATCH)


def _read(connection: Connection, query: Select[Any], schema: pa.Schema) -> Iterator[pa.Table]:
    if connection.dialect.name == "sqlite":
        # A column as one JSON text: a value for each row and column would cost four times as much.
        whole = select(*map(func.json_group_array, query.subquery().c))
        columns = [orjson.loads(text) for text in connection.execute(whole).one()]
        yield pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)
        return
    with connection.execution_options(yield_per=BATCH).execute(query) as result:
        for rows in result.partitions():
            yield pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=schema)


def _in_flight(connection: Connection) -> pa.Table:
    query = select(IN_FLIGHT.c.contact, IN_FLIGHT.c.account, IN_FLIGHT.c.fields)
    rows = [
        {"rule": rule, "value": value, "contact": contact}
        for contact, account, fields in connection.execute(query)
        for rule, value in identifiers(account, fields)
    ]
    return pa.Table.from_pylist(rows, schema=KNOWN)
