import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.genesys.budget import WINDOW, LocalBudget
from contact_sync_tests.genesys.conftest import Clock

EPSILON = 1e-6


@given(
    limit=st.integers(2, 40),
    share=st.floats(0.01, 0.99),
    rushes=st.lists(st.tuples(st.floats(0.0, 150.0), st.integers(1, 60)), min_size=1, max_size=20),
)
def test_no_minute_holds_more_than_the_limit(limit: int, share: float, rushes: list[tuple[float, int]]) -> None:
    clock = Clock(0.0)
    budget = LocalBudget(limit, max(1, int(limit * share)), clock)
    grants = []
    for idle, calls in rushes:
        clock.now += idle
        grants += [clock.now + budget.reserve() for _ in range(calls)]
    assert grants == sorted(grants)
    for number, first in enumerate(grants[:-limit]):
        assert grants[number + limit] - first >= WINDOW - EPSILON


@given(seconds=st.floats(0.0, 200.0), before=st.integers(0, 60), idle=st.floats(0.0, 60.0))
def test_a_pause_holds_back_every_later_slot(seconds: float, before: int, idle: float) -> None:
    clock = Clock(0.0)
    budget = LocalBudget(300, 20, clock)
    for _ in range(before):
        budget.reserve()
    clock.now += idle
    budget.pause(seconds)
    ends = clock.now + seconds
    waits = [budget.reserve() for _ in range(3)]
    assert all(clock.now + wait >= ends - EPSILON for wait in waits)


def test_after_a_pause_there_is_no_burst() -> None:
    clock = Clock(0.0)
    budget = LocalBudget(300, 20, clock)
    budget.pause(10.0)
    assert [budget.reserve() for _ in range(3)] == pytest.approx([10.0, 10.0 + 60 / 280, 10.0 + 120 / 280])


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    budget = LocalBudget(300, 20, Clock(0.0))
    budget.pause(30.0)
    budget.pause(5.0)
    assert budget.reserve() == pytest.approx(30.0)


def test_the_whole_budget_can_be_used() -> None:
    clock = Clock(0.0)
    budget = LocalBudget(300, 20, clock)
    assert sum(budget.reserve() <= WINDOW + EPSILON for _ in range(400)) == 300


@pytest.mark.parametrize("burst", [0, -1, 300, 301])
def test_a_burst_that_cannot_be_paced_is_refused(burst: int) -> None:
    with pytest.raises(ValueError, match="burst"):
        LocalBudget(300, burst)
