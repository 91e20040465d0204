"""Statistics: what was asked of the API and how it was answered.

What belongs here: counting answered requests. The budget and the faults keep their own counts.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

Counts = Counter[str]


@dataclass(slots=True)
class Stats:
    """Requests since the start or the last reset.

    Attributes:
        by_client: By OAuth client id, then by status; without a valid token a request is nobody's, `""`.
    """

    requests: int = 0
    writes: int = 0
    by_operation: Counts = field(default_factory=Counter)
    by_status: Counts = field(default_factory=Counter)
    by_client: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counter))

    def count(self, operation: str, client_id: str, status: int, *, wrote: bool) -> None:
        """Count one request; one that was refused, or a dry run, wrote nothing."""
        self.requests += 1
        self.writes += wrote
        self.by_operation[operation] += 1
        self.by_status[str(status)] += 1
        self.by_client[client_id][str(status)] += 1
