import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from contact_sync.genesys.budget import Budget
from contact_sync.state.database import open_database, transaction
from contact_sync.state.pace import SharedPace
from contact_sync.state.tables import BUDGET
from contact_sync_tests.genesys.conftest import Clock

EPSILON = 1e-3
NOW = 1_700_000_000.0
clients = (f"client {number}" for number in count())
# The engine serves many examples: each takes a client of its own.
with_engine = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])

Open = Callable[[], Engine]


@pytest.fixture
def open_another(url: str) -> Iterator[Open]:
    """Open the same database as another process would."""
    opened: list[Engine] = []

    def another() -> Engine:
        opened.append(open_database(url))
        return opened[-1]

    yield another
    for engine in opened:
        engine.dispose()


def pace(
    engine: Engine, client: str = "a", *, allowed: int = 300, reserve: float = 0.1, clock: Clock | None = None
) -> SharedPace:
    return SharedPace(engine, client, allowed=allowed, reserve=reserve, clock=clock or Clock(NOW))


@with_engine
@given(
    limit=st.integers(2, 40),
    reserve=st.sampled_from([0.0, 0.1, 0.5]),
    rushes=st.lists(st.tuples(st.floats(0.0, 150.0), st.integers(1, 16)), min_size=1, max_size=6),
)
def test_no_minute_holds_more_than_the_limit_even_if_no_answer_tells(
    sqlite: Engine, limit: int, reserve: float, rushes: list[tuple[float, int]]
) -> None:
    clock = Clock(NOW)
    mine = pace(sqlite, next(clients), allowed=limit, reserve=reserve, clock=clock)
    grants = []
    for idle, calls in rushes:
        clock.now += idle
        grants += [clock.now + mine.reserve()[1] for _ in range(calls)]
    assert grants == sorted(grants)
    for number, first in enumerate(grants[:-limit]):
        assert grants[number + limit] - first >= 60 - EPSILON


def test_it_fits_where_the_client_wants_a_budget(engine: Engine) -> None:
    budget: Budget = pace(engine)
    budget.pause(10.0)
    ticket, wait = budget.reserve()
    assert 9.0 < wait < 10.5
    assert 9.0 < budget.remaining(ticket) <= wait


def test_a_pause_holds_everybody_also_those_who_wait_already(engine: Engine, open_another: Open) -> None:
    one, other = pace(engine), pace(open_another())
    ticket, wait = one.reserve()
    assert wait == 0.0
    other.pause(30.0)
    assert all(29.0 < held < 31.0 for held in (one.remaining(ticket), one.reserve()[1], other.reserve()[1]))


def test_a_shorter_pause_does_not_end_a_longer_one(sqlite: Engine) -> None:
    one = pace(sqlite)
    one.pause(30.0)
    one.pause(5.0)
    assert one.wait() == pytest.approx(30.0, abs=0.3)


def test_one_request_a_minute_is_a_pace_too(sqlite: Engine) -> None:
    one = pace(sqlite, allowed=1)
    assert [one.reserve()[1] for _ in range(3)] == pytest.approx([0.0, 60 / 0.9, 120 / 0.9])


def test_asking_how_long_takes_no_place(sqlite: Engine) -> None:
    one = pace(sqlite, allowed=10)
    one.reserve()
    assert [one.wait(), one.wait(), one.reserve()[1]] == pytest.approx([60 / 9] * 3)


def test_callers_at_the_same_time_get_different_places(engine: Engine, open_another: Open) -> None:
    paces = [pace(one, allowed=15) for one in (engine, open_another())]
    with ThreadPoolExecutor(max_workers=4) as pool:
        places = sorted(pool.map(lambda number: paces[number % 2].reserve(), range(24)))
    assert [ticket for ticket, _ in places] == list(range(1, 25))
    assert [round(wait * 0.9 * 15 / 60) for _, wait in places] == list(range(24))


def test_a_restart_keeps_the_line(engine: Engine, open_another: Open) -> None:
    one = pace(engine, allowed=60)
    for _ in range(12):
        one.reserve()
    waited = pace(open_another(), allowed=60).wait()
    assert 8.0 < waited <= (12 + 1 - 60 * 0.9 * 0.05) * 60 / 54


def test_what_one_process_hears_paces_the_other(engine: Engine, open_another: Open) -> None:
    one, other = pace(engine), pace(open_another())
    ticket, _ = one.reserve()
    one.observe(ticket, 0.05, count=150, allowed=240, reset=30)
    known = other.reading()
    assert (known.allowed, known.used) == (240, 150)
    assert known.others_per_minute == pytest.approx(149 * 2, rel=0.2)
    assert 28.0 < known.resets_in <= 30.0
    assert known.per_minute < 60.0


def test_without_answers_the_setting_rules_and_then_what_genesys_said(sqlite: Engine) -> None:
    pace(sqlite, allowed=300)
    one = pace(sqlite, allowed=100)
    assert one.reading().allowed == 100
    ticket, _ = one.reserve()
    one.observe(ticket, 0.05, count=1, allowed=180, reset=60)
    assert pace(sqlite, allowed=100).reading().allowed == 180


def test_the_time_that_the_row_was_locked_counts_as_time_the_answer_took(engine: Engine) -> None:
    one = SharedPace(engine, "a", allowed=300, reserve=0.1)
    ticket, _ = one.reserve()
    locked, heard = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction(engine) as connection:
            connection.execute(BUDGET.update().values(others=0.0))
            locked.set()
            heard.wait(0.5)

    with ThreadPoolExecutor() as pool:
        pool.submit(lock)
        assert locked.wait(10)
        came = time.time()
        pool.submit(one.observe, ticket, 0.2, count=1, allowed=300, reset=60).result()
    with transaction(engine) as connection:
        ends_from = connection.execute(select(BUDGET.c.ends_from)).scalar_one()
    assert ends_from == pytest.approx(came - 0.2 + 59.0, abs=0.2)


def test_hosts_whose_clocks_differ_agree_on_postgresql(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    early, late = (pace(engine, clock=Clock(moment)) for moment in (NOW, NOW + 3_600.0))
    late.pause(30.0)
    assert 29.0 < early.wait() < 31.0
    early.pause(40.0)
    assert 39.0 < late.wait() < 41.0
    engine.dispose()


def test_clients_do_not_share(sqlite: Engine) -> None:
    one, other = pace(sqlite, "a"), pace(sqlite, "b")
    one.pause(60.0)
    assert other.reserve() == (1, 0.0)
