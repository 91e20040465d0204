"""When a delete is earned: its grace period is over, and every window of it has been synced.

A CRM that re-indexes gives the same people new ids: deletes and creates, in any order, in one window or several.
While a delete waits, the new id finds the contact and takes it over, so that the contact keeps its Genesys id and
its history. The period counts in the CRM's time, before the delete as well as after it: a backfill of a year ago
sees the creates before it deletes, and so do windows that are synced late or out of order.
What belongs here: the judgement. The planner asks for it, the retry queue keeps what waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contact_sync.contacts.window import Window, uncovered
from contact_sync.steps.context import SyncContext


@dataclass(frozen=True, slots=True)
class Earned:
    """Tells whether a delete may be sent now; it can be given to another process.

    Attributes:
        grace: How long a delete waits.
        first: The start of the first window.
        now: The present instant.
        gaps: What has not been synced.
    """

    grace: timedelta
    first: datetime
    now: datetime
    gaps: Sequence[Window]

    def __call__(self, deleted_at: datetime) -> bool:
        """Tell whether a delete that the CRM recorded at an instant may be sent."""
        starts, ends = deleted_at - self.grace, deleted_at + self.grace
        if not self.grace or ends <= self.first:
            return True
        return ends <= self.now and not any(gap.start < ends and gap.end > starts for gap in self.gaps)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)

ALWAYS = Earned(timedelta(0), first=_LONG_AGO, now=_LONG_AGO, gaps=())
"""Where nothing is deleted."""


def deletes_earned(context: SyncContext, committing: Sequence[Window] = ()) -> Earned:
    """Return what tells whether a delete may be sent now.

    Args:
        context: The sync.
        committing: Windows that count as committed, because their upserts have gone out.
    """
    grace, first = context.settings.delivery.delete_grace, context.settings.sync.first_window_start
    now = context.clock()
    if not grace or now <= first:
        return Earned(grace, first, now, ())
    committed = context.store.ledger.committed(context.source.name)
    return Earned(grace, first, now, uncovered(Window(first, now), [*committed, *committing]))
