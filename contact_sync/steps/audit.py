"""The audit: committed windows are counted again by the CRM, and a window whose count moved is reopened.

A record has one place in time, its newest change. The records that were read in a window, less those that were
read elsewhere since and those found gone, are what the CRM must count there: one more is a row that came late, one
fewer a row that left for a place that was not read. A count alone cannot tell one that came from one that left, so
what left must be known exactly: from the frames of later windows and, for the time after the newest of them, by
reading that once. A late row in a window that lost another in a way that nobody knows yet (by a hard delete, by a
change that was late itself, or by the very same record's earlier one) moves no count: of windows that are not too
large the CRM is also asked which records they have, and when they changed.

What belongs here: which windows are reopened. What was read is `seen`'s, reading a window again `extract`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from contact_sync.contacts.window import Window, uncovered
from contact_sync.steps.context import SyncContext
from contact_sync.steps.lag import settle_of
from contact_sync.steps.seen import Seen, seen_in, window_of

Row = Mapping[str, Any]

LISTED = 50_000
"""A window of at most so many rows, whose count did not move, is also asked which records it has, and when."""

_AHEAD = timedelta(days=1)
"""How far ahead of our clock a record's stamp may be."""

_BEHIND = 3
"""Windows that may be missing at the end before reading what has changed since is too much."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found.

    Attributes:
        windows: Windows that were counted again.
        reopened: Why a window was reopened, by window.
        read: Rows that were read to know which records have changed since the newest window.
        open: Spans of the audited time that are not committed: while there are any, fewer rows say nothing.
    """

    windows: int
    reopened: Mapping[Window, str] = field(default_factory=dict)
    read: int = 0
    open: Sequence[Window] = ()


def audit(context: SyncContext) -> Audited:
    """Count the committed windows of the audited time again, and reopen those whose count moved.

    Raises:
        CrmError: The CRM could not be read; no window is reopened.
        StateError: The ledger could not be read or written.
    """
    rows = {window_of(row): row for row in _committed(context)}
    if not rows:
        return Audited(0)
    look = _Look(context)
    moved = look.moved(rows)
    if moved:  # records change while the windows are counted: what moved is counted once more
        moved = look.moved({window: rows[window] for window in moved})
    found = {window: _reason(by - rows[window]["unexplained"]) for window, by in moved.items()}
    unknown = [window for window in look.seen.unknown if window in rows]
    found |= dict.fromkeys(unknown, "its frame is missing, or was read again and not delivered")
    for window, because in found.items():
        context.store.ledger.reopen(rows[window], context.clock(), because, moved.get(window, 0))
    return Audited(len(rows), found, look.read, look.open)


class _Look:
    """What is known of where records are: from frames, and from what has changed since the newest window."""

    def __init__(self, context: SyncContext) -> None:
        self.seen = Seen()
        self.read = 0
        self.open: Sequence[Window] = ()
        self._context = context
        self._known_to: datetime | None = None

    def moved(self, rows: Mapping[Window, Row]) -> dict[Window, int]:
        """Return by how much the CRM's counts differ from what is known, for windows in which that is new."""
        context = self._context
        counts = {window: context.source.count(window) for window in rows}
        self._learn()
        places, unknown = self.seen.places, set(self.seen.unknown)
        by = {window: count - places.count(window) for window, count in counts.items() if window not in unknown}
        by |= {
            window: more + self._swapped(window)
            for window, more in by.items()
            if more == rows[window]["unexplained"]
        }
        return {
            window: more
            for window, more in by.items()
            if (new := more - rows[window]["unexplained"]) > 0 or (new and not self.open)
        }

    def _swapped(self, window: Window) -> int:
        """Count the records that a window has in the place of others: late ones, as many as have left it."""
        places = self.seen.places
        if not 0 < places.count(window) <= LISTED:
            return 0
        return sum(map(places.lacking, self._context.source.stamps(window)))

    def _learn(self) -> None:
        """Learn what the frames say, then what has changed since; the second time only the latter."""
        context = self._context
        now = context.source.server_time() or context.clock()
        if self._known_to is None:
            rows = _committed(context)
            self.seen = seen_in(context, rows, min(row["window_start"] for row in rows))
            self.open = [*_gaps(context, rows), *self.seen.unknown]
            self._known_to = max(row["window_end"] for row in rows)
            if now - self._known_to > _BEHIND * context.settings.sync.frequency.length + settle_of(context):
                self.open = [*self.open, Window(self._known_to, now)]
        gone = context.store.tombstones.within(context.source.name, Window(_start(context), now + _AHEAD))
        self.seen.places.gone(*_series(gone.items()))
        if not self.open:
            self._read(Window(self._known_to, now + _AHEAD))
        self._known_to = max(self._known_to, now - settle_of(context))

    def _read(self, span: Window) -> None:
        """Read which records have changed in a span that no window holds yet."""
        context = self._context
        if not context.source.count(span):
            return
        read_at = context.clock()
        for page in context.source.changes(span):
            self.read += len(page)
            self.seen.places.add(*_series((change.crm_id, change.modified_at) for change in page), read_at)


def _start(context: SyncContext) -> datetime:
    sync = context.settings.sync
    return max(sync.first_window_start, context.clock() - sync.audited)


def _committed(context: SyncContext) -> list[Row]:
    rows = context.store.ledger.rows(context.source.name, _start(context))
    return [row for row in rows if not row["reopened_at"]]


def _gaps(context: SyncContext, rows: Sequence[Row]) -> list[Window]:
    """Return what is not committed between the start of the audited time and the newest window."""
    start, end = _start(context), max(row["window_end"] for row in rows)
    return uncovered(Window(start, end), map(window_of, rows)) if start < end else []


def _series(pairs: Iterable[tuple[str, datetime]]) -> tuple[pd.Series, pd.Series]:
    ids, instants = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), ())
    return pd.Series(ids, dtype=object), pd.Series(instants, dtype="datetime64[us, UTC]")


def _reason(more: int) -> str:
    one = abs(more) == 1
    rows = f"{abs(more):,} {'row' if one else 'rows'}"
    if more < 0:
        return f"the CRM counts {rows} fewer than are known"
    return f"the CRM has {rows} that {'was' if one else 'were'} not read"
