"""A model of a rate-limited server and of everybody who calls it, in time that only moves when told.

What belongs here: windows, latencies, processes that come and go, and others on the same client. What must hold
belongs to the tests.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

from contact_sync.state.governor import Meter

START = 1_700_000_000.0
WINDOW = 60.0
OTHERS = "others"

Latency = Callable[[Random], float]
"""Draws the seconds that a request, or its answer, is under way."""

LATENCIES: dict[str, Latency] = {
    "near": lambda _random: 0.0025,
    "usual": lambda random: random.uniform(0.02, 0.2),
    "uneven": lambda random: random.uniform(0.0025, 1.5),
    "far": lambda _random: 1.5,
}


@dataclass
class Server:
    """Counts requests in fixed windows, each opened by the first request after the last one, as the twin does."""

    allowed: int = 300
    opened: dict[str, float] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    ends: list[float] = field(default_factory=list)

    def spend(self, now: float, owner: str) -> tuple[bool, int, int]:
        """Return whether a request is let in, and the values of the headers `count` and `reset`."""
        if now - self.opened.get(owner, -math.inf) >= WINDOW:
            self.open(now, owner)
        let_in = self.used[owner] < self.allowed
        self.used[owner] += let_in
        return let_in, self.used[owner], self.reset(self.opened[owner] + WINDOW - now)

    def open(self, now: float, owner: str) -> None:
        self.opened[owner], self.used[owner] = now, 0
        self.ends.append(now + WINDOW)

    def reset(self, left: float) -> int:
        return max(1, math.ceil(left))


@dataclass(frozen=True)
class Call:
    """What a request met: who sent it, when it was sent, whether it was let in."""

    who: str
    sent: float
    let_in: bool


@dataclass
class Process:
    """One of ours: its idle threads, one of which is in the line."""

    idle: int
    alive: bool = True


@dataclass
class Traffic:
    """Everybody who calls one server, and the one meter that our processes share.

    Attributes:
        per_token: Whether each process has a window of its own.
        startup: Seconds that a process needs before it asks for its first turn.
        after_pause: Seconds by which a request left after the last pause that was asked for; the smallest.
    """

    random: Random
    meter: Meter
    latency: Latency = LATENCIES["usual"]
    server: Server = field(default_factory=Server)
    per_token: bool = False
    startup: float = 1.0
    now: float = START
    calls: list[Call] = field(default_factory=list)
    paused_until: float = 0.0
    after_pause: float = math.inf

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._ours: dict[str, Process] = {}

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), event))

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    # Ours.

    def start(self, processes: int, threads: int, generation: int = 0) -> None:
        """Start processes whose threads always have something to send."""
        for number in range(processes):
            name = f"{number}.{generation}"
            self._ours[name] = Process(threads)
            self._soon(partial(self._join, name))

    def restart(self, every: float, times: int, processes: int, threads: int) -> None:
        """Kill all processes again and again; nobody holds their tickets then, nobody reads their answers."""
        for generation in range(1, times + 1):
            self.at(self.now + every * generation, self._kill)
            started = partial(self.start, processes, threads, generation)
            self.at(self.now + every * generation + self.startup, started)

    def _kill(self) -> None:
        for process in self._ours.values():
            process.alive = False

    def _soon(self, event: Callable[[], None]) -> None:
        self.at(self.now + self.random.expovariate(1000.0), event)

    def _join(self, name: str) -> None:
        """Take a ticket for the first of the process's idle threads."""
        if self._ours[name].alive:
            self.meter = self.meter.reserved(self.now)
            self._wait(name, self.meter.tickets)

    def _wait(self, name: str, ticket: int) -> None:
        process = self._ours[name]
        if not process.alive:
            return
        if wait := self.meter.wait(self.now, ticket):
            self.at(self.now + min(wait, 1.0) + self.random.expovariate(1000.0), partial(self._wait, name, ticket))
            return
        process.idle -= 1
        if process.idle:
            self._soon(partial(self._join, name))
        self.after_pause = min(self.after_pause, self.now - self.paused_until)
        self.at(self.now + self.latency(self.random), partial(self._arrive, name, ticket, self.now))

    def _arrive(self, name: str, ticket: int, sent: float) -> None:
        let_in, used, reset = self.server.spend(self.now, name if self.per_token else "client")
        self.calls.append(Call(name, sent, let_in))
        self.at(
            self.now + self.latency(self.random), partial(self._hear, name, ticket, self.calls[-1], used, reset)
        )

    def _hear(self, name: str, ticket: int, call: Call, used: int, reset: int) -> None:
        process = self._ours[name]
        if not process.alive:
            return
        self.meter = self.meter.observed(self.now, ticket, self.now - call.sent, used, self.server.allowed, reset)
        if not call.let_in:
            self.pause(reset + 1.0)
        process.idle += 1
        if process.idle == 1:
            self._soon(partial(self._join, name))

    def pause(self, seconds: float) -> None:
        """Let an answer ask for a pause."""
        self.meter = self.meter.paused(self.now, seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)

    # Others.

    def others_call(self, moments: Iterable[float]) -> None:
        """Let others call at `moments` from now, each once."""
        for moment in moments:
            self.at(self.now + moment, self._foreign)

    def _foreign(self) -> None:
        let_in, _, _ = self.server.spend(self.now, "client")
        self.calls.append(Call(OTHERS, self.now, let_in))

    # What came of it.

    def refused(self, since: float = 0.0) -> int:
        """Return how many requests met a 429, ours and others'."""
        return sum(not call.let_in for call in self.calls if call.sent >= START + since)

    def ours(self, since: float = 0.0, until: float = math.inf) -> int:
        """Return how many requests of ours were let in."""
        span = (START + since, START + until)
        return sum(call.let_in for call in self.calls if call.who != OTHERS and span[0] <= call.sent < span[1])

    def share(self) -> float:
        """Return how much of what others left we used."""
        others = sum(call.who == OTHERS for call in self.calls)
        return self.ours() / (self.server.allowed * (self.now - START) / WINDOW - others)


def meter(allowed: int = 300, reserve: float = 0.1) -> Meter:
    return Meter(allowed=allowed, reserve=reserve, window=WINDOW)


def traffic(seed: int, latency: str = "usual", reserve: float = 0.1, server: Server | None = None) -> Traffic:
    return Traffic(Random(seed), meter(reserve=reserve), LATENCIES[latency], server or Server())  # noqa: S311 (a model, no secret)


def steady(random: Random, per_minute: float, start: float, stop: float) -> Iterator[float]:
    """Yield the moments of somebody who calls evenly."""
    step = 60.0 / per_minute
    moment = start + random.uniform(0.0, step)
    while moment < stop:
        yield moment
        moment += step


def poisson(random: Random, per_minute: float, start: float, stop: float) -> Iterator[float]:
    """Yield the moments of many who call independently."""
    moment = start + random.expovariate(per_minute / 60.0)
    while moment < stop:
        yield moment
        moment += random.expovariate(per_minute / 60.0)


def bursts(random: Random, size: int, every: float, stop: float) -> Iterator[float]:
    """Yield the moments of somebody who calls `size` times at once, over and over."""
    first = random.uniform(0.0, every)
    for number in range(int((stop - first) / every) + 1):
        yield from (first + number * every + 0.01 * one for one in range(size))
