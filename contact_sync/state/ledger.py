"""The window ledger: which windows are committed, which were reopened and why, and how late commits have been.

What belongs here: reads and writes of the ledger, each one transaction. When a window is reopened is the audit's
judgement, what a committed one means the delivery's.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select, update

from contact_sync.contacts.window import Window
from contact_sync.state.bulk import upsert
from contact_sync.state.database import transaction
from contact_sync.state.tables import LATE_ROWS, WINDOW_LEDGER

Row = Mapping[str, Any]

_L = WINDOW_LEDGER.c


class Ledger:
    """The ledger of all sources."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def commit(self, row: Row) -> None:
        """Write a window's row: from now on its rows are accounted for, and it is not reopened any more.

        By how much its count had moved stays on record where reading it again has changed nothing.
        """
        with transaction(self._engine) as connection:
            old = _one(connection, _of(row["source"], Window(row["window_start"], row["window_end"])))
            same = old is not None and old["digest"] == row["digest"]
            left = (old["moved_by"] if old["reopened_at"] else old["unexplained"]) if old and same else 0
            upsert(
                connection, WINDOW_LEDGER, [dict(row) | {"reopened_at": None, "moved_by": 0, "unexplained": left}]
            )

    def reopen(self, row: Row, at: datetime, because: str, moved_by: int = 0) -> None:
        """Mark a window as not committed, until its next run commits it again; its row stays.

        Args:
            row: The window's row, as it was looked at; one that was committed anew since stays committed.
            at: The present instant.
            because: Why, for the operator.
            moved_by: How many rows more the CRM counts in it than were read; negative for fewer.
        """
        its = (_L.source, _L.window_start, _L.window_end, _L.committed_at)
        marked = {"reopened_at": at, "reopened_because": because, "moved_by": moved_by}
        with transaction(self._engine) as connection:
            connection.execute(
                update(WINDOW_LEDGER).where(*(column == row[column.name] for column in its)).values(**marked)
            )

    def committed(self, source: str) -> list[Window]:
        """Return the windows of `source` that are committed; reopened ones are not."""
        query = select(_L.window_start, _L.window_end).where(_L.source == source, _L.reopened_at.is_(None))
        with transaction(self._engine) as connection:
            return [Window(start, end) for start, end in connection.execute(query)]

    def reopened(self, source: str) -> dict[Window, str]:
        """Return the windows of `source` that are reopened, in order, and why."""
        query = (
            select(_L.window_start, _L.window_end, _L.reopened_because)
            .where(_L.source == source, _L.reopened_at.is_not(None))
            .order_by(_L.window_start)
        )
        with transaction(self._engine) as connection:
            return {Window(start, end): because for start, end, because in connection.execute(query)}

    def row(self, source: str, window: Window) -> Row | None:
        """Return the row of a window, reopened or not; None if it was never committed."""
        with transaction(self._engine) as connection:
            return _one(connection, _of(source, window))

    def rows(self, source: str, since: datetime) -> list[Row]:
        """Return the rows of the windows that end after `since`, in order, reopened ones too.

        Each also has `late_rows` and `late_seconds`: how many rows the window found that had not been there when
        their time was read before, and how long after their stamp they were still missing.
        """
        late = (
            select(
                LATE_ROWS.c.window_start,
                LATE_ROWS.c.window_end,
                func.sum(LATE_ROWS.c.rows).label("rows"),
                func.max(LATE_ROWS.c.seconds).label("seconds"),
            )
            .where(LATE_ROWS.c.source == source, LATE_ROWS.c.window_end > since)
            .group_by(LATE_ROWS.c.window_start, LATE_ROWS.c.window_end)
            .subquery()
        )
        same = (late.c.window_start == _L.window_start) & (late.c.window_end == _L.window_end)
        columns = (
            func.coalesce(late.c.rows, 0).label("late_rows"),
            func.coalesce(late.c.seconds, 0.0).label("late_seconds"),
        )
        query = (
            select(WINDOW_LEDGER, *columns)
            .select_from(WINDOW_LEDGER.outerjoin(late, same))
            .where(_L.source == source, _L.window_end > since)
            .order_by(_L.window_start, _L.window_end)
        )
        with transaction(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def note_late(self, source: str, window: Window, rows: int, late: timedelta, at: datetime) -> None:
        """Remember that a window found rows that had not been there when their time was read.

        Args:
            source: The source's name.
            window: The window whose run found them.
            rows: How many.
            late: How long after its stamp the latest of them was still missing.
            at: The present instant.
        """
        key = {"source": source, "window_start": window.start, "window_end": window.end, "noted_at": at}
        noted = {"rows": rows, "seconds": late.total_seconds()}
        with transaction(self._engine) as connection:
            upsert(connection, LATE_ROWS, [key | noted])

    def lateness(self, source: str, since: datetime, at_most: timedelta) -> timedelta:
        """Return how late the latest rows noted since an instant were; windows with later ones are left out."""
        query = select(func.max(LATE_ROWS.c.seconds)).where(
            LATE_ROWS.c.source == source,
            LATE_ROWS.c.noted_at >= since,
            LATE_ROWS.c.seconds <= at_most.total_seconds(),
        )
        with transaction(self._engine) as connection:
            return timedelta(seconds=connection.execute(query).scalar_one() or 0)


def _of(source: str, window: Window) -> Select[Any]:
    key = (_L.source == source, _L.window_start == window.start, _L.window_end == window.end)
    return select(WINDOW_LEDGER).where(*key)


def _one(connection: Connection, query: Select[Any]) -> Row | None:
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found else None
