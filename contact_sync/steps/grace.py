"""When a delete is earned: its grace period is over, and every window of it has been synced.

A CRM that re-indexes gives the same people new ids: deletes and creates, in any order, in one window or several.
While a delete waits, the new id finds the contact and takes it over, so that the contact keeps its Genesys id and
its history. The period counts in the CRM's time, before the delete as well as after it: a backfill of a year ago
sees the creates before it deletes, and so do windows that are synced late or out of order.
What belongs here: the judgement. The planner asks for it, the retry queue keeps what waits.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache

from contact_sync.contacts.window import Window, uncovered
from contact_sync.steps.context import SyncContext


def deletes_earned(context: SyncContext, committing: Sequence[Window] = ()) -> Callable[[datetime], bool]:
    """Return whether a delete that the CRM recorded at an instant may be sent now.

    Args:
        context: The sync.
        committing: Windows that count as committed, because their upserts have gone out.
    """
    grace, first = context.settings.delivery.delete_grace, context.settings.sync.first_window_start
    now = context.clock()

    @cache
    def gaps() -> Sequence[Window]:
        committed = context.store.committed_windows(context.source.name)
        return uncovered(Window(first, now), [*committed, *committing])

    def earned(deleted_at: datetime) -> bool:
        starts, ends = deleted_at - grace, deleted_at + grace
        if not grace or ends <= first:
            return True
        return ends <= now and not any(gap.start < ends and gap.end > starts for gap in gaps())

    return earned
