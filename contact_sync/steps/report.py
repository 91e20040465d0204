"""sync_report: what happened in a window, and whether the sync is healthy.

What belongs here: counting and judging. Nothing is sent and no state changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from contact_sync.contacts.schemas import OUTCOMES, SYNC_REPORT, frame_of
from contact_sync.contacts.window import Window, uncovered, watermark
from contact_sync.state.database import StateError
from contact_sync.steps.context import SyncContext
from contact_sync.steps.fields import unlisted_fields


@dataclass(frozen=True, slots=True)
class Health:
    """How the sync of one source stands.

    Attributes:
        watermark: The end of the longest unbroken run of committed windows.
        lag: From there to the newest window that has closed.
        gaps: Spans that have closed and are not committed.
        waiting: Changes in the retry queue that failed and are tried again.
        oldest_waiting: Since when the oldest of them has been undelivered; None if none waits.
        deferred: Deletes in the retry queue that wait for the end of their grace period.
        dead: Changes that will not be tried again by themselves.
        records: CRM records that are linked.
        contacts: Genesys contacts that they are.
        unmapped: CRM fields that carry values and that the registry does not list.
    """

    watermark: datetime
    lag: timedelta
    gaps: Sequence[Window]
    waiting: int
    oldest_waiting: datetime | None
    deferred: int
    dead: int
    records: int
    contacts: int
    unmapped: Sequence[Mapping[str, Any]]


def report(context: SyncContext, window: Window) -> pd.DataFrame:
    """Store the report of a committed window.

    Returns:
        The frame, with the columns of `schemas.SYNC_REPORT`: one row.

    Raises:
        StateError: The window is not committed, or a frame cannot be read or written.
        ContractError: `genesys_upserts` breaks its contract.
    """
    outcomes = context.tally("genesys_upserts", window).require().values["outcome"]
    row = context.store.ledger.row(context.source.name, window)
    if row is None or row["reopened_at"]:
        raise StateError(f"the window {window} is not committed: materialise genesys_upserts for it first")
    counts = {
        "window_start": window.start,
        "window_end": window.end,
        "read": row["rows_read"],
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        **{name: row[name] for name in ("requests", "writes", "seconds")},
    }
    frame = frame_of(SYNC_REPORT, [counts])
    context.frames.write("sync_report", window, frame)
    return frame


def health(context: SyncContext) -> Health:
    """Say how the sync stands now."""
    sync = context.settings.sync
    name = context.source.name
    committed = context.store.ledger.committed(name)
    closed = sync.frequency.floor(context.clock() - sync.settle)
    reached = watermark(sync.first_window_start, committed)
    due = Window(sync.first_window_start, closed) if closed > sync.first_window_start else None
    queue = context.store.queue_depth(name)
    linked = context.store.link_counts(name)
    return Health(
        watermark=reached,
        lag=max(timedelta(0), closed - reached),
        gaps=uncovered(due, committed) if due else [],
        waiting=queue.waiting,
        oldest_waiting=queue.oldest,
        deferred=queue.deferred,
        dead=queue.dead,
        records=linked["records"],
        contacts=linked["contacts"],
        unmapped=unlisted_fields(context),
    )
