import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from contact_sync.genesys.budget import Budget
from contact_sync.state.database import open_database
from contact_sync.state.pace import BURST_SHARE, SharedPace
from contact_sync_tests.genesys.conftest import Clock

EPSILON = 1e-3
clients = (f"client {number}" for number in count())
# The engine serves many examples: each takes a client of its own.
with_engine = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def open_another(url: str) -> Iterator[Callable[[], Engine]]:
    """Open the same database as another process would."""
    opened: list[Engine] = []

    def another() -> Engine:
        opened.append(open_database(url))
        return opened[-1]

    yield another
    for engine in opened:
        engine.dispose()


@with_engine
@given(
    limit=st.integers(2, 40),
    rushes=st.lists(st.tuples(st.floats(0.0, 150.0), st.integers(1, 30)), min_size=1, max_size=6),
)
def test_no_minute_holds_more_than_the_limit(sqlite: Engine, limit: int, rushes: list[tuple[float, int]]) -> None:
    clock = Clock(1_700_000_000.0)
    pace = SharedPace(sqlite, next(clients), per_minute=limit, clock=clock)
    grants = []
    for idle, calls in rushes:
        clock.now += idle
        grants += [clock.now + pace.reserve() for _ in range(calls)]
    assert grants == sorted(grants)
    for number, first in enumerate(grants[:-limit]):
        assert grants[number + limit] - first >= 60 - EPSILON


@with_engine
@given(seconds=st.floats(0.0, 200.0), before=st.integers(0, 30), idle=st.floats(0.0, 60.0))
def test_a_pause_holds_everyone(sqlite: Engine, seconds: float, before: int, idle: float) -> None:
    clock, client = Clock(1_700_000_000.0), next(clients)
    one, other = (SharedPace(sqlite, client, per_minute=300, clock=clock) for _ in range(2))
    for _ in range(before):
        one.reserve()
    clock.now += idle
    one.pause(seconds)
    assert all(pace.reserve() >= seconds - EPSILON for pace in (other, one, other))


def test_a_shorter_pause_does_not_end_a_longer_one(sqlite: Engine) -> None:
    pace = SharedPace(sqlite, "a", per_minute=300, clock=Clock())
    pace.pause(30.0)
    pace.pause(5.0)
    assert pace.wait() == pytest.approx(30.0)


def test_the_whole_budget_can_be_used(sqlite: Engine) -> None:
    pace = SharedPace(sqlite, "a", per_minute=270, clock=Clock(1_700_000_000.0))
    assert sum(pace.reserve() <= 60 + EPSILON for _ in range(300)) == 270


def test_one_request_a_minute_is_a_pace_too(sqlite: Engine) -> None:
    pace = SharedPace(sqlite, "a", per_minute=1, clock=Clock(1_700_000_000.0))
    assert [pace.reserve() for _ in range(3)] == pytest.approx([0.0, 60.0, 120.0])


def test_asking_how_long_takes_no_slot(sqlite: Engine) -> None:
    pace = SharedPace(sqlite, "a", per_minute=1, clock=Clock(1_700_000_000.0))
    pace.reserve()
    assert [pace.wait(), pace.wait(), pace.reserve()] == pytest.approx([60.0, 60.0, 60.0])


def test_it_fits_where_the_client_wants_a_budget(engine: Engine) -> None:
    budget: Budget = SharedPace(engine, "a", per_minute=300)
    budget.pause(10.0)
    assert 9.0 < budget.reserve() <= 10.0


def test_two_processes_share_one_pace_and_a_restart_keeps_it(
    engine: Engine, open_another: Callable[[], Engine]
) -> None:
    per_minute = 60
    burst = per_minute // BURST_SHARE
    interval = 60 / (per_minute - burst)
    paces = [SharedPace(one, "a", per_minute=per_minute) for one in (engine, open_another())]
    started = time.monotonic()
    for number in range(12):
        paces[number % 2].reserve()
    after_restart = SharedPace(open_another(), "a", per_minute=per_minute).wait()
    passed = time.monotonic() - started
    taken = (12 - burst + 1) * interval
    assert taken - passed - EPSILON <= after_restart <= taken


def test_callers_at_the_same_time_get_different_slots(engine: Engine, open_another: Callable[[], Engine]) -> None:
    paces = [SharedPace(one, "a", per_minute=15) for one in (engine, open_another())]
    with ThreadPoolExecutor(max_workers=4) as pool:
        waits = sorted(pool.map(lambda number: paces[number % 2].reserve(), range(24)))
    interval = 60 / 14
    assert [round(wait / interval) for wait in waits] == list(range(24))


def test_clients_do_not_share(sqlite: Engine) -> None:
    clock = Clock()
    one, other = (SharedPace(sqlite, client, per_minute=300, clock=clock) for client in ("a", "b"))
    one.pause(60.0)
    assert other.reserve() == 0.0
