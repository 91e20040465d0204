"""What records were before they changed, for as long as the search index has not heard of it.

What belongs here: remembering, and forgetting in time. Searching is `listing`'s.
"""

from collections import deque
from collections.abc import Callable

from contact_sync.simulator.settings import Clock


class History:
    """The latest changes of the records of one kind; nothing is kept while the index does not lag.

    Args:
        clock: Where the time is read.
        lag: Gives the seconds by which the index lags.
    """

    def __init__(self, clock: Clock, lag: Callable[[], float]) -> None:
        self._clock = clock
        self._lag = lag
        self._changes: deque[tuple[float, str, bytes | None]] = deque()

    def note(self, record_id: str, before: bytes | None) -> None:
        """Remember that a record changes now, and what it was; None: it did not exist."""
        self._forget()
        if self._lag() > 0:
            self._changes.append((self._clock(), record_id, before))

    def indexed(self) -> dict[str, bytes | None]:
        """Return the records of which the index does not know the latest, as it knows them."""
        self._forget()
        oldest_last = ((record_id, before) for _, record_id, before in reversed(self._changes))
        return dict(oldest_last)

    def _forget(self) -> None:
        horizon = self._clock() - self._lag()
        while self._changes and self._changes[0][0] <= horizon:
            self._changes.popleft()
