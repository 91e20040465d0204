"""The retry queue: changes that could not be delivered, counted and never lost.

What belongs here: set-based reads and writes on one open transaction. Which failure is worth another attempt, and
when, belongs to the steps.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy import Row as DatabaseRow

from contact_sync.contacts.identity import Link, RecordId
from contact_sync.state.bulk import Row, chunks, upsert
from contact_sync.state.tables import RETRY_QUEUE


def queue(connection: Connection, rows: Sequence[Row]) -> None:
    """Put changes on the queue; an older version never replaces a newer one.

    A version that is on the queue already keeps the time when it was first queued, and its attempts add up.
    """
    known = {
        (row.source, row.crm_id, row.version): row
        for row in _queued(connection, [(row["source"], row["crm_id"]) for row in rows])
    }
    counted = [_counted(row, known.get((row["source"], row["crm_id"], row["version"]))) for row in rows]
    upsert(connection, RETRY_QUEUE, counted, newer_by=("modified_at",))


def forget(connection: Connection, delivered: Sequence[Link]) -> None:
    """Take records off the queue once that version, or a newer one, is delivered."""
    waiting = {
        (row.source, row.crm_id): row.modified_at for row in _queued(connection, [one.record for one in delivered])
    }
    done = [one.record for one in delivered if one.record in waiting and waiting[one.record] <= one.modified_at]
    for chunk in chunks(done):
        columns = tuple_(RETRY_QUEUE.c.source, RETRY_QUEUE.c.crm_id)
        connection.execute(delete(RETRY_QUEUE).where(columns.in_(chunk)))


def _counted(row: Row, before: DatabaseRow[Any] | None) -> Row:
    if before is None:
        return row
    return {**row, "attempts": before.attempts + row["attempts"], "queued_at": before.queued_at}


def _queued(connection: Connection, records: Sequence[RecordId]) -> Iterator[DatabaseRow[Any]]:
    for chunk in chunks(records):
        columns = tuple_(RETRY_QUEUE.c.source, RETRY_QUEUE.c.crm_id)
        yield from connection.execute(select(RETRY_QUEUE).where(columns.in_(chunk)))
