"""What is known of Genesys' window, from its answers and our own tickets, and how much of it is others'.

What belongs here: arithmetic on one sighting; no clock, no database. How fast we go is the governor's. Times are
seconds since 1970.

What an answer has counted and is not ours is others'. For the rest of the window they are left what their rate
says, but at least what they had in the last window, and at least the reserve.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

MARGIN = 0.01
"""Share of the allowed requests that stays unspent, for others who come faster than expected..."""
SPREAD = 0.4
"""...and so many times the square root of what others spend: independent callers vary by about that."""
PRIOR = 1 / 12
"""Share of a window for which the others' rate in the last one counts."""
MEMORY = 2.0
"""Windows without an answer after which the others' rate is forgotten."""
SLACK = 1 / 30
"""Share of a window by which the ends that answers tell may miss each other and still be the same end."""
SLOW = 10.0
"""Seconds: an answer that took longer does not tell when it was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Genesys' window as it was seen last.

    Attributes:
        allowed: Requests that Genesys allows in a window.
        reserve: Share of them that is always left to others.
        window: Length of a window in seconds.
        ends_from: Its end lies between this moment...
        ends_by: ...and this; both 0 if no window was seen.
        turns_by: By this moment at the latest what we send counts for the next window, if it travels as steadily
            as before.
        count: The largest count that an answer told.
        counted_at: When the request with that answer was sent...
        counted_ticket: ...and its ticket.
        first_ticket: The first ticket with an answer of this window.
        others: What others spent in the window before.
    """

    allowed: int
    reserve: float
    window: float
    ends_from: float = 0.0
    ends_by: float = 0.0
    turns_by: float = 0.0
    count: int = 0
    counted_at: float = 0.0
    counted_ticket: int = 0
    first_ticket: int = 0
    others: float = 0.0

    def seen(self, now: float, ticket: int, elapsed: float, count: int, allowed: int, reset: int) -> Self:
        """Return what is known after an answer; what tells nothing of this window or the next changes nothing.

        `reset` is rounded up, and the answer was given between sending and now: the end lies between two moments,
        which further answers bring closer together.
        """
        sent, latest, slack = now - elapsed, now + reset, SLACK * self.window
        earliest, turns_by = sent + reset - 1.0, sent + reset
        if elapsed > SLOW or reset > 2 * self.window or latest < self.ends_from - slack:
            return self
        known = self
        if earliest > self.ends_by + slack:
            others = self.others_total() if sent - self.counted_at < MEMORY * self.window else 0.0
            first = self._first_since(earliest - self.window, ticket, sent)
            known = replace(self, ends_from=earliest, ends_by=latest, turns_by=turns_by)
            known = replace(known, count=0, first_ticket=first, others=others)
        ends_by = min(known.ends_by, latest)
        overtaken = sent < known.counted_at  # else an older ticket was only held for long
        known = replace(
            known,
            allowed=allowed,
            ends_from=min(max(known.ends_from, earliest), ends_by),
            ends_by=ends_by,
            turns_by=min(known.turns_by, turns_by),
            first_ticket=min(known.first_ticket, ticket) if overtaken else known.first_ticket,
        )
        if count <= known.count:
            return known
        return replace(known, count=count, counted_at=sent, counted_ticket=ticket)

    def turns_at(self) -> float:
        """Return the moment from which on what we send counts for the next window.

        That is the end, less what a request needs to get there.
        """
        return max(self.ends_from, self.turns_by)

    def forgotten(self) -> Self:
        """Return what is left to know once the moments do not count any more."""
        return replace(self, ends_from=0.0, ends_by=0.0, turns_by=0.0, others=self.others_total())

    def used(self, due: float) -> float:
        """Return what is spent when `due` of our tickets have come due.

        Counted, or due since then. If each token has a window of its own, no count holds all of ours: so at least
        ours.
        """
        return max(self.count + max(0.0, due - self.counted_ticket), due - self.first_ticket + 1)

    def left(self, due: float) -> float:
        """Return what we may still spend in the window when `due` of our tickets have come due."""
        promised = max(self.others, self.reserve * self.allowed) - self._others_so_far()
        return self.allowed - self.used(due) - max(self._others_expected() + self._margin(), promised)

    def left_of_next(self) -> float:
        """Return what we may spend in a window of which nothing is known yet."""
        return self.allowed - max(self.others_total() + self._margin(), self.reserve * self.allowed)

    def others_total(self) -> float:
        """Return what others spend in the window."""
        return self._others_so_far() + self._others_expected() if self.ends_by else self.others

    def _first_since(self, start: float, ticket: int, sent: float) -> int:
        """Return our first ticket of a window that began at `start`; the answer to `ticket` is the first of it.

        While the window before lasts they are two tokens', and our tickets since the start count for both.
        """
        turns_at = self.turns_at()
        if sent >= turns_at:
            return ticket
        since = (sent - start) / (sent - turns_at + self.window)
        return ticket - round((ticket - self.first_ticket) * min(max(since, 0.0), 1.0))

    def _others_so_far(self) -> float:
        return max(0.0, self.count - (self.counted_ticket - self.first_ticket + 1.0))

    def _others_expected(self) -> float:
        """Return what others will spend between the last count and the end of the window."""
        weight = PRIOR * self.window
        ends = self.turns_at()
        watched = max(0.0, self.counted_at - (ends - self.window))
        rate = (self._others_so_far() + weight * self.others / self.window) / (weight + watched)
        return rate * max(0.0, ends - self.counted_at)

    def _margin(self) -> float:
        return MARGIN * self.allowed + SPREAD * math.sqrt(self.others_total())
