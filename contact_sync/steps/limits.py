"""How many contacts may go at once. What belongs here: the number; what is held because of it is the planner's."""

from contact_sync.steps.context import SyncContext
from contact_sync.steps.tally import FEW_ROWS


def most_removals(context: SyncContext, removals: int) -> int:
    """Return how many contacts may go where so many deletes come together."""
    limits = context.settings.delivery
    if removals < FEW_ROWS:
        return limits.max_deletes
    contacts = context.store.link_counts(context.source.name)["contacts"]
    return min(limits.max_deletes, int(limits.max_delete_share * contacts))
