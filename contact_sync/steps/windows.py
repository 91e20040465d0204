"""How the windows stand: which are committed, missing or reopened, how late the CRM is and how far behind we are.

What belongs here: judging the ledger. Nothing is read from the CRM and nothing changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contact_sync.contacts.window import Window, uncovered
from contact_sync.setting_groups import Sync
from contact_sync.steps.context import SyncContext
from contact_sync.steps.lag import overlap_of, settle_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the windows stand.

    Attributes:
        windows: The ledger's rows of the windows looked at, oldest first; see `Ledger.rows`.
        gaps: Spans that have closed and were never committed.
        reopened: Windows that were committed and wait for another run, and why.
        lag: From the end of the newest committed window to now; from the first window's start if there is none.
        keeps_up: Whether the newest window that is committed or under way ended no longer ago than two windows and
            the settle delay.
        settle: For how long a window's end is past now before it is read.
        overlap: How far before its start a window looks for late rows now.
        late_rows: Rows of the windows looked at that had not been there when their time was read.
        lateness: How long after its stamp the latest of them was still missing.
    """

    windows: Sequence[Row]
    gaps: Sequence[Window]
    reopened: Mapping[Window, str]
    lag: timedelta
    keeps_up: bool
    settle: timedelta
    overlap: timedelta
    late_rows: int
    lateness: timedelta


def windows_now(context: SyncContext, since: datetime | None = None, under_way: Sequence[Window] = ()) -> Standing:
    """Say how the windows stand.

    Args:
        context: The sync.
        since: From when on windows and late rows are shown; the audited time, unless given. Gaps, reopened windows
            and lag are of all windows.
        under_way: Windows that are being synced: no gaps.
    """
    sync, now, ledger = context.settings.sync, context.clock(), context.store.ledger
    name, settle = context.source.name, settle_of(context)
    closed = sync.frequency.floor(now - settle)
    due = Window(sync.first_window_start, closed) if closed > sync.first_window_start else None
    committed, reopened = ledger.committed(name), ledger.reopened(name)
    shown = ledger.rows(name, since or now - sync.audited)
    return Standing(
        windows=shown,
        gaps=uncovered(due, [*committed, *reopened, *under_way]) if due else [],
        reopened={window: why for window, why in reopened.items() if window not in under_way},
        lag=_behind(now, committed, sync),
        keeps_up=_behind(now, [*committed, *under_way], sync) <= 2 * sync.frequency.length + settle,
        settle=settle,
        overlap=overlap_of(context),
        late_rows=sum(row["late_rows"] for row in shown),
        lateness=timedelta(seconds=max((row["late_seconds"] for row in shown), default=0.0)),
    )


def _behind(now: datetime, windows: Sequence[Window], sync: Sync) -> timedelta:
    return now - max((window.end for window in windows), default=sync.first_window_start)
