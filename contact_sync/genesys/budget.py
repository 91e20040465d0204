"""The pace of requests: one budget for everybody who shares an OAuth client.

What belongs here: the interface that the client asks before every request, and an implementation in memory for
tests and one-shot commands. The budget that survives restarts and is shared by processes lives in the state
database and fits the same interface.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

WINDOW = 60.0  # seconds; Genesys counts requests a minute


class Budget(Protocol):
    """A shared pace."""

    def reserve(self) -> float:
        """Take the next free slot and return the seconds until it comes; the slot is taken whatever the wait."""
        ...

    def pause(self, seconds: float) -> None:
        """Give out no slot that comes sooner than `seconds` from now: Genesys sent Retry-After."""
        ...


class LocalBudget:
    """A budget of one process: the generic cell rate algorithm (GCRA).

    Slots follow each other at `window / (per_minute - burst)` seconds; an idle budget saves up at most `burst` of
    them. So no span of a minute holds more than `per_minute` slots: the burst, and the pace after it.

    Args:
        per_minute: The most requests in any minute; Genesys documents 300 for an OAuth client.
        burst: How many of them may go at once, at least 1 and fewer than `per_minute`.
        clock: Monotonic seconds.

    Raises:
        ValueError: The burst is not between.
    """

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        if not 1 <= burst < per_minute:
            msg = f"the burst must be at least 1 and less than the {per_minute} requests a minute, not {burst}"
            raise ValueError(msg)
        self._interval = WINDOW / (per_minute - burst)
        self._saved = (burst - 1) * self._interval
        self._clock = clock
        self._next = clock() - self._saved
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """See `Budget.reserve`."""
        with self._lock:
            now = self._clock()
            slot = max(self._next, now - self._saved)
            self._next = slot + self._interval
            return max(0.0, slot - now)

    def pause(self, seconds: float) -> None:
        """See `Budget.pause`."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
