"""Windows of time: half-open, UTC, tiling.

What belongs here: arithmetic on windows and how often they close. Which windows were delivered is the ledger's
knowledge, which are due is the schedule's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Frequency(StrEnum):
    """How long a window is."""

    FIVE_MINUTES = "5min"
    FIFTEEN_MINUTES = "15min"
    THIRTY_MINUTES = "30min"
    HOURLY = "60min"
    DAILY = "daily"

    @property
    def length(self) -> timedelta:
        """The length of one window."""
        return timedelta(days=1) if self is Frequency.DAILY else timedelta(minutes=int(self.removesuffix("min")))

    @property
    def a_day(self) -> int:
        """How many windows make a day."""
        return timedelta(days=1) // self.length

    def floor(self, instant: datetime) -> datetime:
        """Return the newest window boundary that is not after `instant`; boundaries count from midnight UTC."""
        midnight = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (instant - midnight) // self.length * self.length


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of time `[start, end)`; both ends aware.

    Raises:
        ValueError: An end lacks a timezone, or the span is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            msg = "a window needs timezone-aware ends"
            raise ValueError(msg)
        if self.end <= self.start:
            msg = f"the window {self.start.isoformat()} to {self.end.isoformat()} is empty"
            raise ValueError(msg)

    def __str__(self) -> str:
        return f"{_stamp(self.start)}/{_stamp(self.end)}"

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def split(self, frequency: Frequency) -> Iterator["Window"]:
        """Yield the windows of `frequency` that tile this span.

        Raises:
            ValueError: The span does not start and end on boundaries of `frequency`.
        """
        if frequency.floor(self.start) != self.start or frequency.floor(self.end) != self.end:
            msg = f"{self} does not start and end on boundaries of {frequency.value} windows (UTC)"
            raise ValueError(msg)
        start = self.start
        while start < self.end:
            yield Window(start, start + frequency.length)
            start += frequency.length

    def cut(self, frequency: Frequency) -> Iterator["Window"]:
        """Yield the parts of this span that lie in one window of `frequency` each, oldest first."""
        start = self.start
        while start < self.end:
            end = min(frequency.floor(start) + frequency.length, self.end)
            yield Window(start, end)
            start = end


def uncovered(span: Window, covered: Iterable[Window]) -> list[Window]:
    """Return the parts of `span` that no window of `covered` reaches, oldest first and as long as possible."""
    gaps: list[Window] = []
    reached = span.start
    for window in sorted(covered):
        if window.start >= span.end:
            break
        if window.start > reached:
            gaps.append(Window(reached, window.start))
        reached = max(reached, window.end)
    if reached < span.end:
        gaps.append(Window(reached, span.end))
    return gaps


def watermark(start: datetime, committed: Iterable[Window]) -> datetime:
    """Return the end of the longest unbroken run of committed windows from `start`; `start` if there is none."""
    reached = start
    for window in sorted(committed):
        if window.start > reached:
            break
        reached = max(reached, window.end)
    return reached


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
