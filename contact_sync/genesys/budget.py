"""The budget: the pace that everybody who shares an OAuth client keeps.

What belongs here: the interface that the transport asks before every request and tells of every answer. The state
database keeps the budget itself.
"""

from typing import Protocol


class Budget(Protocol):
    """A shared pace: a line in which every request takes a place."""

    def reserve(self) -> tuple[int, float]:
        """Take a place in the line; return its ticket, and the seconds until its turn as `remaining` does."""
        ...

    def remaining(self, ticket: int) -> float:
        """Return the seconds after which to ask again whether it is the turn of `ticket`; 0 when it is.

        The line moves at a pace that changes, and stops while Genesys asks for a pause.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Let nobody's turn come sooner than `seconds` from now: Genesys sent Retry-After."""
        ...

    def observe(self, ticket: int, elapsed: float, *, count: int, allowed: int, reset: int) -> None:
        """Learn from the answer to the request with `ticket`, sent `elapsed` seconds ago.

        Args:
            ticket: The ticket of the request.
            elapsed: Seconds between sending it and now.
            count: Requests that Genesys has counted in its window.
            allowed: The most that it allows.
            reset: Seconds until the window ends, rounded up.
        """
        ...
