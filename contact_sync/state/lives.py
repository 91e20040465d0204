"""Looking a person up in what the state database remembers: by CRM id, Genesys id, e-mail or number.

What belongs here: the queries behind an explanation; they read and change nothing. What the rows say together
belongs to `steps.explain`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, func, or_, select

from contact_sync.contacts.identity import RecordId
from contact_sync.state.bulk import chunks
from contact_sync.state.tables import (
    AUDIT,
    CONTACT_LINK,
    GENESYS_MIRROR,
    IN_FLIGHT,
    MIRROR_IDENTIFIER,
    RETRY_QUEUE,
)

Row = Mapping[str, Any]

_EXTENSION = ";ext="


def contacts_known_by(connection: Connection, rule: str, value: str) -> set[str]:
    """Return the Genesys contacts that an e-mail or a number recognises; a number also with its extensions."""
    table = MIRROR_IDENTIFIER.c
    query = select(table.contact).where(
        table.rule == rule, or_(table.value == value, table.value.startswith(value + _EXTENSION, autoescape=True))
    )
    return set(connection.execute(query).scalars())


def carriers(connection: Connection, rule: str, value: str) -> int:
    """Count the Genesys contacts that carry an identifier itself; an extension of a number is another one."""
    table = MIRROR_IDENTIFIER.c
    query = select(func.count(table.contact.distinct())).where(table.rule == rule, table.value == value)
    return int(connection.execute(query).scalar_one())


def records_of(connection: Connection, contacts: Collection[str]) -> set[RecordId]:
    """Return the records that are these contacts now, or that were written to them before."""
    found: set[RecordId] = set()
    for table in (CONTACT_LINK, AUDIT):
        for chunk in chunks(sorted(contacts)):
            query = select(table.c.source, table.c.crm_id).where(table.c.contact.in_(chunk)).distinct()
            found.update((source, crm_id) for source, crm_id in connection.execute(query))
    return found


def is_known(connection: Connection, record: RecordId) -> bool:
    """Tell whether anything is remembered of a record."""
    return any(
        connection.execute(_of(table, record).limit(1)).first() for table in (CONTACT_LINK, RETRY_QUEUE, AUDIT)
    )


def seen(connection: Connection, contact: str) -> Row | None:
    """Return a contact as it was last seen in Genesys: `contact`, `seen_at`, `fields`."""
    query = select(GENESYS_MIRROR).where(GENESYS_MIRROR.c.contact == contact)
    return _one(connection, query)


def queued(connection: Connection, record: RecordId) -> Row | None:
    """Return the record's row of the retry queue."""
    return _one(connection, _of(RETRY_QUEUE, record))


def writes(connection: Connection, record: RecordId) -> list[Row]:
    """Return the audit's rows of a record, oldest first."""
    return [dict(row) for row in connection.execute(_of(AUDIT, record).order_by(AUDIT.c.id)).mappings()]


def unanswered(connection: Connection, record: RecordId) -> bool:
    """Tell whether a request that carried the record has no answer yet."""
    return connection.execute(_of(IN_FLIGHT, record).limit(1)).first() is not None


def _of(table: Table, record: RecordId) -> Select[Any]:
    source, crm_id = record
    return select(table).where(table.c.source == source, table.c.crm_id == crm_id)


def _one(connection: Connection, query: Select[Any]) -> Row | None:
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found else None
