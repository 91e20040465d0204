"""What the tests of the Genesys room share: a scripted server, a clock that only moves when told, a client."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.transport import Transport
from contact_sync_tests.genesys.server import ScriptedGenesys

SECRET = "s3cret-of-the-client"


@dataclass
class Clock:
    """Monotonic seconds; sleeping moves them."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Line:
    """A budget without a limit: it knows pauses, and remembers what it was told."""

    clock: Clock
    tickets: int = 0
    closed_until: float = 0.0
    observed: list[tuple[int, float, int, int, int]] = field(default_factory=list)

    def reserve(self) -> tuple[int, float]:
        self.tickets += 1
        return self.tickets, self.remaining(self.tickets)

    def remaining(self, ticket: int) -> float:
        assert 0 < ticket <= self.tickets
        return max(0.0, self.closed_until - self.clock.now)

    def pause(self, seconds: float) -> None:
        self.closed_until = max(self.closed_until, self.clock.now + seconds)

    def observe(self, ticket: int, elapsed: float, *, count: int, allowed: int, reset: int) -> None:
        self.observed.append((ticket, elapsed, count, allowed, reset))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[ScriptedGenesys]:
    with ScriptedGenesys() as running:
        yield running


@pytest.fixture
def hosts(server: ScriptedGenesys) -> Hosts:
    return Hosts(server.url, server.url)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.fixture
def tokens(hosts: Hosts, session: requests.Session, clock: Clock) -> TokenManager:
    return TokenManager(hosts, "client-id", SECRET, session=session, clock=clock)


@pytest.fixture
def budget(clock: Clock) -> Line:
    return Line(clock)


@pytest.fixture
def transport(
    hosts: Hosts, tokens: TokenManager, budget: Line, session: requests.Session, clock: Clock
) -> Transport:
    return Transport(hosts, tokens, budget, session=session, sleep=clock.sleep, clock=clock)


@pytest.fixture
def client(transport: Transport) -> GenesysClient:
    return GenesysClient(transport)
