"""Links: which record is which contact.

What belongs here: set-based reads and writes of links on one open transaction. What contacts look like in Genesys
belongs to `mirror`, finding those that a record may be to `lookup`, transactions to `store`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, delete, select, tuple_, update

from contact_sync.contacts.identity import Link, RecordId
from contact_sync.state.bulk import among, chunks, columns_of, upsert
from contact_sync.state.tables import CONTACT_LINK, IN_FLIGHT

_NAMES = ("source", "crm_id", "contact", "business_key", "version", "modified_at", "read_at", "account", "fields")

BATCH = 10_000
"""Rows read at once where all are read."""


def of_records(connection: Connection, records: Sequence[RecordId]) -> list[Link]:
    """Return the links of the records that have one, tombstones too."""
    table = CONTACT_LINK.c
    ids: dict[str, list[str]] = defaultdict(list)
    for source, crm_id in records:
        ids[source].append(crm_id)
    links: list[Link] = []
    for source, its in ids.items():
        query = select(CONTACT_LINK).where(table.source == source, among(connection, table.crm_id, its))
        links += _links(connection, query)
    return links


def save(connection: Connection, links: Sequence[Link]) -> None:
    """Store the versions that are now delivered; an older version never replaces a newer one."""
    upsert(connection, CONTACT_LINK, [_columns(link) for link in links], newer_by=("modified_at", "read_at"))


def release(connection: Connection, released: Sequence[tuple[str, RecordId]]) -> None:
    """Take records off the contacts that they were linked to, with the business keys that stay there."""
    table = CONTACT_LINK.c
    for contact, (source, crm_id) in released:
        its = (table.source == source, table.crm_id == crm_id, table.contact == contact)
        connection.execute(update(CONTACT_LINK).where(*its).values(contact=None, business_key=None))


def send(connection: Connection, links: Sequence[Link]) -> None:
    """Remember records as a request is about to carry them, until it is answered."""
    upsert(connection, IN_FLIGHT, [_columns(link) for link in links])


def answered(connection: Connection, contacts: Sequence[str], refused: Sequence[Link]) -> None:
    """Forget what was sent: all for `contacts`, which are as they should be; of `refused` only this, as a whole.

    A refusal tells nothing about what an earlier request has done.
    """
    table = IN_FLIGHT.c
    for chunk in chunks(contacts):
        connection.execute(delete(IN_FLIGHT).where(table.contact.in_(chunk)))
    keys = [(str(link.contact), *link.record, link.version) for link in refused]
    for some in chunks(keys):
        key = tuple_(table.contact, table.source, table.crm_id, table.version)
        connection.execute(delete(IN_FLIGHT).where(key.in_(some)))


def rename(connection: Connection, old: str, new: str) -> int:
    """Point the records of a contact, also as they were sent, at the one that Genesys put in its place.

    Returns:
        How many are linked to it.
    """
    moved = connection.execute(update(CONTACT_LINK).where(CONTACT_LINK.c.contact == old).values(contact=new))
    under_way = IN_FLIGHT.c.contact == old
    send(
        connection, [replace(link, contact=new) for link in _links(connection, select(IN_FLIGHT).where(under_way))]
    )
    connection.execute(delete(IN_FLIGHT).where(under_way))
    return moved.rowcount


def unanswered(connection: Connection) -> list[Link]:
    """Return the records that requests carried whose answers are not known, in the CRM's order."""
    return sorted(_links(connection, select(IN_FLIGHT)), key=lambda link: link.modified_at)


def members_of(connection: Connection, contacts: Collection[str]) -> Iterator[Link]:
    """Yield the links of contacts."""
    query = select(CONTACT_LINK).where(among(connection, CONTACT_LINK.c.contact, contacts))
    yield from _links(connection, query)


def everybody(connection: Connection) -> Iterator[Link]:
    """Yield the links of all records that are a contact."""
    rows = connection.execution_options(yield_per=BATCH).execute(
        select(CONTACT_LINK).where(CONTACT_LINK.c.contact.is_not(None))
    )
    yield from map(_link, rows)


def _links(connection: Connection, query: Select[Any]) -> list[Link]:
    """Return the links that a query of all columns finds."""
    if connection.dialect.name != "sqlite":
        return list(map(_link, connection.execute(query)))
    its = query.subquery().c
    columns = columns_of(connection, select(*(its[name] for name in _NAMES)))
    return [
        Link(
            (source, crm_id),
            contact,
            key,
            version,
            _instant(modified),
            _instant(read),
            account,
            orjson.loads(said),
        )
        for source, crm_id, contact, key, version, modified, read, account, said in zip(*columns, strict=True)
    ]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def _link(row: Row[Any]) -> Link:
    return Link(
        record=(row.source, row.crm_id),
        contact=row.contact,
        business_key=row.business_key,
        version=row.version,
        modified_at=row.modified_at,
        read_at=row.read_at,
        account=row.account,
        fields=row.fields,
    )


def _columns(link: Link) -> dict[str, Any]:
    source, crm_id = link.record
    return {
        "source": source,
        "crm_id": crm_id,
        "contact": link.contact,
        "business_key": link.business_key,
        "version": link.version,
        "modified_at": link.modified_at,
        "read_at": link.read_at,
        "account": link.account,
        "fields": dict(link.fields),
    }
