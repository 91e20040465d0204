"""What other identity rules would make of the stored people, before they are switched on.

What belongs here: reading what is stored. The replay belongs to `contacts.simulating`; nothing is sent or changed.
"""

from contact_sync.contacts.rules import IdentityRules
from contact_sync.contacts.simulating import Simulation
from contact_sync.contacts.simulating import simulate as replayed
from contact_sync.steps.context import SyncContext


def simulate(context: SyncContext, rules: IdentityRules, *, examples: int) -> Simulation:
    """Replay the stored keys of all records by `rules`.

    All links are in memory meanwhile: about 2 kB for each record.

    Raises:
        StateError: The state database cannot be read.
    """
    links, others = context.store.everybody()
    return replayed(links, others, rules, examples=examples)
