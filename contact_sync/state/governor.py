"""The governor: how fast we may send, so that Genesys refuses nobody and nothing that is left is lost.

What belongs here: the line for the tokens of a bucket, and the pace at which they come; no clock, no database, no
sleeping. What is left to us is the sighting's. Times are seconds since 1970.

The pace spends what is left of Genesys' window evenly until its end. A ticket is a place in the line, not a
moment: when the pace changes or Genesys asks for a pause, everybody in the line moves with it, and the ticket of a
process that died is passed over in its turn.
"""

from dataclasses import dataclass, replace
from typing import Self

from contact_sync.state.sighting import Sighting

BURST = 0.05
"""Share of a window's requests that an idle client saves up and may send at once."""
HASTE = 2.0
"""How much faster than evenly we may go, to make up for requests that were not sent."""
PROBE = 1 / 60
"""Share of the allowed requests that we take even if others want them all: only answers tell when they stop."""
LONGEST_LINE = 100.0
"""Tickets in the line, beyond which the first ones are given up; a living process has one at a time."""
SET_BACK = 1.0
"""Seconds by which the clock must go back to count as set back: callers may overtake each other a little."""
_ROUNDING = 1e-3  # of a token


@dataclass(frozen=True, slots=True)
class Reading:
    """What the governor knows.

    Attributes:
        allowed: Requests that Genesys allows in a window.
        used: Those of the present window that are spent, by anybody.
        others_per_minute: What others on the same client spend.
        per_minute: Our pace.
        resets_in: Seconds until the window ends; 0 if none is known.
        paused_for: Seconds until requests may be sent again; 0 if they may.
    """

    allowed: int
    used: int
    others_per_minute: float
    per_minute: float
    resets_in: float
    paused_for: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter(Sighting):
    """The state of one budget. Every method takes the present moment; those that change it return the new meter.

    Attributes:
        tickets: How many were given out; the number of the last one.
        level: Tokens in the bucket at the moment `at`; below zero, how many tickets wait.
        at: The moment up to which `level` is reckoned.
        rate: Tokens a second from then on.
        closed_until: No request before this moment.
    """

    tickets: int = 0
    level: float = 0.0
    at: float = 0.0
    rate: float = 0.0
    closed_until: float = 0.0

    def reserved(self, now: float) -> Self:
        """Put one more ticket, number `tickets`, in the line."""
        meter = self.advanced(now)
        return replace(meter, tickets=meter.tickets + 1, level=max(meter.level - 1.0, -LONGEST_LINE))

    def wait(self, now: float, ticket: int) -> float:
        """Return the seconds after which the holder of `ticket` should ask again; 0 when it may send."""
        meter = self.advanced(now)
        closed = max(0.0, meter.closed_until - now)
        missing = ticket - meter.tickets - meter.level
        if missing < _ROUNDING:
            return closed
        due, window_ends = closed + missing / meter.rate, meter.turns_at() - now
        return min(due, max(closed, window_ends)) if window_ends > 0.0 else due

    def paused(self, now: float, seconds: float) -> Self:
        """Close the line for `seconds`; what was saved up is gone."""
        meter = self.advanced(now)
        until = max(meter.closed_until, now + seconds)
        return replace(meter, closed_until=until, level=min(meter.level, 0.0))

    def observed(self, now: float, ticket: int, elapsed: float, count: int, allowed: int, reset: int) -> Self:
        """Learn from an answer.

        Args:
            now: When it has come.
            ticket: The ticket of its request.
            elapsed: Seconds since that was sent.
            count: Requests that Genesys has counted in its window, this one included.
            allowed: Requests that it allows.
            reset: Seconds until the window ends, rounded up.
        """
        return self.advanced(now).seen(now, ticket, elapsed, count, allowed, reset).paced(now)

    def reading(self, now: float) -> Reading:
        """Return what is known."""
        meter = self.advanced(now)
        return Reading(
            allowed=meter.allowed,
            used=round(meter.used(meter.due())) if now < meter.ends_by else 0,
            others_per_minute=meter.others_total() * 60.0 / meter.window,
            per_minute=meter.rate * 60.0,
            resets_in=max(0.0, meter.ends_by - now),
            paused_for=max(0.0, meter.closed_until - now),
        )

    def due(self) -> float:
        """Return how many tickets have come due."""
        return self.tickets + min(self.level, 0.0)

    def advanced(self, now: float) -> Self:
        """Return the meter as it is now. With the end of a window its pace ends, too."""
        if now < self.at - SET_BACK:
            return self._set_back(now)
        if not self.ends_by:
            return self.paced(now).filled(now)
        if self.at < (turn := self.turns_at()) <= now:
            return self.filled(turn).paced(turn).filled(now)
        return self.filled(now)

    def _set_back(self, now: float) -> Self:
        """Return the meter after the clock was set back: what is left of a pause stays, the window is unknown."""
        until = now + max(0.0, self.closed_until - self.at)
        return replace(self.forgotten(), at=now, closed_until=until).paced(now)

    def filled(self, until: float) -> Self:
        """Return the meter after the tokens have come that are due until then."""
        gained = self.rate * max(0.0, until - max(self.at, self.closed_until))
        saved = max(1.0, BURST * self.rate * self.window)
        return replace(self, level=max(self.level, min(self.level + gained, saved)), at=max(self.at, until))

    def paced(self, now: float) -> Self:
        """Return the meter with the pace that spends what is left evenly, and what is saved up with it."""
        lasts = self.turns_at() - now
        if lasts <= 0.0:
            left = min(self.left_of_next(), (1.0 - BURST) * self.allowed)
            return replace(self, rate=self._bounded(left / self.window))
        left = self.left(self.due())
        level = min(self.level, max(left, 0.0))
        full_until = self.ends_by if self.count >= self.allowed else 0.0
        rate = self._bounded((left - max(level, 0.0)) / lasts)
        return replace(self, level=level, rate=rate, closed_until=max(self.closed_until, full_until))

    def _bounded(self, rate: float) -> float:
        even = self.allowed / self.window
        return min(max(rate, PROBE * even), HASTE * even)
