"""The retry queue: changes that could not be delivered yet, counted and never lost.

A change is `waiting` for its next attempt, `deferred` (a delete inside its grace period, which is no failure), or
`dead`. What belongs here: set-based reads and writes on one open transaction. Which failure is worth another
attempt, and when, belongs to the steps.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, delete, func, insert, select, tuple_, update
from sqlalchemy import Row as DatabaseRow

from contact_sync.contacts.identity import RecordId
from contact_sync.state.bulk import Row, chunks, upsert
from contact_sync.state.tables import AUDIT, RETRY_QUEUE

QueueState = Literal["waiting", "deferred", "dead"]

_COLUMNS = RETRY_QUEUE.c
_RECORD = tuple_(_COLUMNS.source, _COLUMNS.crm_id)
_PENDING: tuple[QueueState, ...] = ("waiting", "deferred")
_FAILED: tuple[QueueState, ...] = ("waiting", "dead")
_REASON_LENGTH = 255


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What the retry queue of one source holds.

    Attributes:
        waiting: Changes that failed and will be tried again.
        deferred: Deletes inside their grace period.
        dead: Changes that will not be tried again by themselves.
        oldest: Since when the oldest of the waiting changes has been undelivered; None if none waits.
        next_due: When the next waiting or deferred change is due; None if there is none.
    """

    waiting: int = 0
    deferred: int = 0
    dead: int = 0
    oldest: datetime | None = None
    next_due: datetime | None = None


def queue(connection: Connection, rows: Sequence[Row]) -> None:
    """Put changes on the queue; an older version never replaces a newer one.

    A record keeps the time when it was first queued, since when it has been undelivered. The attempts of a version
    add up; those of a newer one start anew.
    """
    known = {
        (row.source, row.crm_id): row
        for row in _locked(connection, [(row["source"], row["crm_id"]) for row in rows])
    }
    counted = [_counted(row, known.get((row["source"], row["crm_id"]))) for row in rows]
    upsert(connection, RETRY_QUEUE, counted, newer_by=("modified_at",))


def forget(connection: Connection, settled: Iterable[tuple[RecordId, datetime]]) -> None:
    """Take versions, each its record and modified_at, and all older ones off the queue."""
    reached: dict[RecordId, datetime] = {}
    for record, modified_at in settled:
        reached[record] = max(modified_at, reached.get(record, modified_at))
    queued = {(row.source, row.crm_id): row.modified_at for row in _locked(connection, reached)}
    _remove(connection, [record for record, modified_at in queued.items() if modified_at <= reached[record]])


def due(connection: Connection, source: str, now: datetime, limit: int) -> list[dict[str, Any]]:
    """Return the waiting and deferred changes whose next attempt is due, longest due first."""
    query = _of(source, _PENDING).where(_COLUMNS.next_attempt_at <= now)
    return _read(connection, query.order_by(_COLUMNS.next_attempt_at, _COLUMNS.crm_id).limit(limit))


def listed(
    connection: Connection,
    source: str,
    ids: Collection[str] | None,
    states: Collection[QueueState] | None,
    limit: int | None,
) -> list[dict[str, Any]]:
    """Return changes on the queue, longest queued first: all, or those of some ids, of some states."""
    query = _of(source, states).order_by(_COLUMNS.queued_at, _COLUMNS.crm_id)
    if ids is None:
        return _read(connection, query.limit(limit))
    found = [
        row
        for chunk in chunks(_records(source, ids))
        for row in _read(connection, query.where(_RECORD.in_(chunk)))
    ]
    return sorted(found, key=lambda row: (row["queued_at"], row["crm_id"]))[:limit]


def depth(connection: Connection, source: str) -> QueueDepth:
    """Return how much is on the queue, and since when."""
    counts = select(_COLUMNS.state, func.count(), func.min(_COLUMNS.queued_at), func.min(_COLUMNS.next_attempt_at))
    found = {
        state: of_state
        for state, *of_state in connection.execute(
            counts.where(_COLUMNS.source == source).group_by(_COLUMNS.state)
        )
    }
    return QueueDepth(
        **{state: count for state, (count, _, _) in found.items()},
        oldest=found["waiting"][1] if "waiting" in found else None,
        next_due=min((found[state][2] for state in _PENDING if state in found), default=None),
    )


def replay(connection: Connection, source: str, ids: Collection[str], at: datetime) -> list[str]:
    """Make waiting and dead changes due at `at`, their attempts counted from 0; return their ids."""
    failed = [row for row in _locked(connection, _records(source, ids)) if row.state in _FAILED]
    for chunk in chunks([(row.source, row.crm_id) for row in failed]):
        again = update(RETRY_QUEUE).values(state="waiting", attempts=0, next_attempt_at=at)
        connection.execute(again.where(_RECORD.in_(chunk)))
    return [row.crm_id for row in failed]


def discard(
    connection: Connection, source: str, ids: Collection[str], *, reason: str, at: datetime, run_id: str
) -> list[str]:
    """Take changes off the queue for good, whatever their state, with an audit entry each; return their ids."""
    rows = list(_locked(connection, _records(source, ids)))
    _remove(connection, [(row.source, row.crm_id) for row in rows])
    entries = [
        {
            "at": at,
            "run_id": run_id,
            "source": row.source,
            "window_start": row.window_start,
            "window_end": row.window_end,
            "crm_id": row.crm_id,
            "action": "discard",
            "result": "discarded",
            "reason": reason[:_REASON_LENGTH],
        }
        for row in rows
    ]
    if entries:
        connection.execute(insert(AUDIT), entries)
    return [row.crm_id for row in rows]


def _counted(row: Row, before: DatabaseRow[Any] | None) -> Row:
    if before is None:
        return row
    attempts = before.attempts if before.version == row["version"] else 0
    return {**row, "attempts": attempts + row["attempts"], "queued_at": before.queued_at}


def _locked(connection: Connection, records: Collection[RecordId]) -> Iterator[DatabaseRow[Any]]:
    """Yield what is queued of records, which nobody else can change until the transaction ends."""
    for chunk in chunks(sorted(records)):  # in one order, so that two transactions cannot wait for each other
        query = select(RETRY_QUEUE).where(_RECORD.in_(chunk)).order_by(*RETRY_QUEUE.primary_key)
        yield from connection.execute(query.with_for_update())


def _remove(connection: Connection, records: Sequence[RecordId]) -> None:
    for chunk in chunks(records):
        connection.execute(delete(RETRY_QUEUE).where(_RECORD.in_(chunk)))


def _of(source: str, states: Collection[QueueState] | None) -> Select[Any]:
    query = select(RETRY_QUEUE).where(_COLUMNS.source == source)
    return query if states is None else query.where(_COLUMNS.state.in_(states))


def _read(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _records(source: str, ids: Collection[str]) -> list[RecordId]:
    return [(source, crm_id) for crm_id in dict.fromkeys(ids)]
