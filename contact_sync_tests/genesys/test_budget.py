import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.errors import GenesysRetryableError, GenesysRowError
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.transport import NAP, Transport
from contact_sync_tests.genesys.conftest import Clock, Line
from contact_sync_tests.genesys.server import GREETING, ScriptedGenesys, error
from contact_sync_tests.scripted import Reply, Script, Seen


class Slots(Line):
    """A line that moves as it is told: seconds to wait, one after the other."""

    def __init__(self, clock: Clock, *waits: float) -> None:
        super().__init__(clock)
        self.waits = list(waits)

    def remaining(self, ticket: int) -> float:
        return max(self.waits.pop(0) if self.waits else 0.0, super().remaining(ticket))


def test_a_turn_that_moves_is_waited_for_with_one_ticket(
    server: ScriptedGenesys, hosts: Hosts, tokens: TokenManager, session: requests.Session, clock: Clock
) -> None:
    server.script.append(GREETING)
    budget = Slots(clock, 0.25, 0.5, 30.0, 0.125)
    Transport(hosts, tokens, budget, session=session, sleep=clock.sleep, clock=clock).get("/a")
    assert clock.slept == [0.25, 0.5, NAP, 0.125]
    assert budget.tickets == 1


def test_a_pause_holds_back_a_request_that_was_about_to_have_its_turn(
    server: ScriptedGenesys, hosts: Hosts, tokens: TokenManager, session: requests.Session, clock: Clock
) -> None:
    def sleep(seconds: float) -> None:
        if not server.seen:  # while this one waits, a request of another process is throttled
            with pytest.raises(GenesysRetryableError):
                other.get("/other")
        clock.sleep(seconds)

    def arrive(seen: Seen) -> Reply:
        arrivals[seen.path] = clock.now
        return error(429, "too.many.requests", Retry_After="40") if seen.path == "/other" else GREETING

    arrivals: dict[str, float] = {}
    server.otherwise = arrive
    budget = Slots(clock, 1.0)
    mine, other = (
        Transport(hosts, tokens, budget, session=session, sleep=sleeping, clock=clock, attempts=1)
        for sleeping in (sleep, clock.sleep)
    )
    mine.get("/mine")
    assert arrivals["/mine"] - arrivals["/other"] == pytest.approx(41)


def test_every_answer_tells_the_budget_of_the_window(
    server: ScriptedGenesys, transport: Transport, budget: Line, clock: Clock
) -> None:
    def slow(reply: Reply) -> Script:
        def answer(_seen: Seen) -> Reply:
            clock.now += 0.5
            return reply

        return answer

    told = [limits(7), limits(8, allowed=180, reset=61), limits(9), limits(300, Retry_After="2"), limits(1)]
    statuses = [200, 401, 422, 429, 200]
    for status, headers in zip(statuses, told, strict=True):
        server.script.append(slow(Reply(status, {"code": "some.code"}, headers)))
    transport.get("/a")  # meets the 401, too
    with pytest.raises(GenesysRowError):
        transport.get("/a")
    transport.get("/a")
    assert budget.observed == [
        (1, 0.5, 7, 300, 60),
        (2, 0.5, 8, 180, 61),
        (3, 0.5, 9, 300, 60),
        (4, 0.5, 300, 300, 60),
        (5, 0.5, 1, 300, 60),
    ]


def limits(count: object, *, allowed: object = 300, reset: object = 60, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    told = {"count": count, "allowed": allowed, "reset": reset}
    return named | {f"inin-ratelimit-{name}": str(value) for name, value in told.items()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"inin-ratelimit-count": "1", "inin-ratelimit-allowed": "300"},
        limits(""),
        limits("many"),
        limits(-1),
        limits(1.5),
        limits(1, allowed=0),
        limits(1, reset=-1),
        limits("9" * 5_000),
        limits(1, allowed=10**12),
    ],
)
def test_a_window_that_makes_no_sense_is_not_observed(
    server: ScriptedGenesys, transport: Transport, budget: Line, headers: dict[str, str]
) -> None:
    server.script.append(Reply(200, {}, headers))
    assert transport.get("/a").ok
    assert budget.observed == []


class OnePlace(Line):
    """A line in which every ticket waits once, and no two at a time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.waiting: set[int] = set()
        self.together = 0

    def reserve(self) -> tuple[int, float]:
        self.tickets += 1
        self.waiting.add(self.tickets)
        self.together = max(self.together, len(self.waiting))
        return self.tickets, 1.0

    def remaining(self, ticket: int) -> float:
        self.waiting.discard(ticket)
        return 0.0


def test_threads_share_one_token_and_one_place_in_the_line(
    server: ScriptedGenesys, hosts: Hosts, tokens: TokenManager, session: requests.Session, clock: Clock
) -> None:
    server.otherwise = GREETING
    barrier, budget = threading.Barrier(8), OnePlace(clock)
    yields = threading.Event()  # never set: lets the other threads run

    def sleep(_seconds: float) -> None:
        yields.wait(0.001)

    transport = Transport(hosts, tokens, budget, session=session, sleep=sleep, clock=clock)

    def ask() -> None:
        barrier.wait()
        for _ in range(5):
            transport.get("/a")

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(ask) for _ in range(8)]:
            future.result()
    assert (transport.requests_sent, len(server.seen), len(server.token_requests)) == (40, 40, 1)
    assert (budget.tickets, budget.together) == (40, 1)
