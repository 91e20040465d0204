"""How long the CRM takes to show a change, as measured, and what follows: settle delay and overlap.

A row is late by how long after its stamp it was still missing from a reading of its time. Settle delay and overlap
follow the latest rows of a week, with some headroom, within the bounds of the settings; a row later than the
settle delay may grow is the overlap's, one later than that may grow the audit's.
"""

from datetime import datetime, timedelta

from contact_sync.contacts.window import Window
from contact_sync.steps.context import SyncContext

MEMORY = timedelta(days=7)
"""For how long a late row counts."""

HEADROOM = 1.5


class WindowNotClosedError(Exception):
    """A window ends later than the CRM can safely be read; nothing was read."""


def settle_of(context: SyncContext) -> timedelta:
    """Return for how long a window's end must be past before it is read."""
    sync = context.settings.sync
    return _adapted(context, sync.settle, sync.max_settle)


def overlap_of(context: SyncContext) -> timedelta:
    """Return how far before its start a window looks for rows that were committed late."""
    sync = context.settings.sync
    return _adapted(context, sync.overlap, sync.max_overlap)


def horizon_of(context: SyncContext) -> datetime:
    """Return the newest instant that is safe to read up to, the measured lateness of rows included.

    Raises:
        CrmUnavailableError: The CRM cannot be reached.
    """
    return context.source.horizon() - (settle_of(context) - context.settings.sync.settle)


def require_closed(context: SyncContext, window: Window) -> None:
    """Refuse a window that ends later than the CRM can safely be read.

    Raises:
        WindowNotClosedError: It does.
    """
    horizon = horizon_of(context)
    if window.end > horizon:
        raise WindowNotClosedError(
            f"the window {window} is not closed: the CRM can be read up to {horizon:%Y-%m-%dT%H:%M:%SZ}; "
            "choose an earlier window or wait"
        )


def await_closed(context: SyncContext, window: Window) -> None:
    """Wait until a window is closed, as long as the settle delay may have grown and no longer."""
    missing = window.end - horizon_of(context)
    if timedelta(0) < missing <= context.settings.sync.max_settle - context.settings.sync.settle:
        context.sleep(missing.total_seconds())


def _adapted(context: SyncContext, least: timedelta, most: timedelta) -> timedelta:
    late = context.store.ledger.lateness(context.source.name, context.clock() - MEMORY, most)
    return min(max(least, late * HEADROOM), most)
