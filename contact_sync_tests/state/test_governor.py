from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import methodcaller

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.state.governor import HASTE, LONGEST_LINE, Meter
from contact_sync_tests.state.traffic import START, meter

EPSILON = 1e-3


@dataclass
class Story:
    """A meter, the moment, and the pauses that were asked for."""

    meter: Meter = field(default_factory=meter)
    now: float = START
    closed_until: float = 0.0
    longest_pause: float = 0.0

    def reserve(self, places: int) -> None:
        for _ in range(places):
            self.meter = self.meter.reserved(self.now)

    def idle(self, seconds: float) -> None:
        self.now += seconds

    def pause(self, seconds: float) -> None:
        self.meter = self.meter.paused(self.now, seconds)
        self.closed_until = max(self.closed_until, self.now + seconds)
        self.longest_pause = max(self.longest_pause, seconds)

    def hear(self, count: int, reset: int, elapsed: float) -> None:
        self.meter = self.meter.observed(self.now, max(1, self.meter.tickets), elapsed, count, 300, reset)


Happening = Callable[[Story], None]

lines = st.integers(1, 20).map(lambda places: methodcaller("reserve", places))
events = st.one_of(
    st.floats(0.0, 90.0).map(lambda seconds: methodcaller("idle", seconds)),
    st.floats(0.0, 200.0).map(lambda seconds: methodcaller("pause", seconds)),
    st.tuples(st.integers(0, 400), st.integers(0, 70), st.floats(0.0, 12.0)).map(
        lambda told: methodcaller("hear", *told)
    ),
)


def after(happened: list[Happening]) -> Story:
    story = Story()
    for happening in happened:
        happening(story)
    return story


@given(happened=st.lists(lines | events, max_size=30))
def test_nobody_goes_before_a_pause_is_over_and_all_go_in_order(happened: list[Happening]) -> None:
    story = after(happened)
    story.reserve(2)
    waits = [story.meter.wait(story.now, ticket) for ticket in range(1, story.meter.tickets + 1)]
    assert waits == sorted(waits)
    assert waits[0] >= story.closed_until - story.now - EPSILON


@given(happened=st.lists(lines | events, max_size=30))
def test_a_line_always_moves_on(happened: list[Happening]) -> None:
    story = after(happened)
    story.reserve(1)
    meter, began = story.meter, max(story.now, story.closed_until)
    ahead, now = max(0.0, -meter.level), began
    while (wait := meter.wait(now, meter.tickets)) and now - began <= 3_600.0:
        now += wait
    assert now - began <= 60.0 * (2 + ahead)


@given(happened=st.lists(events, max_size=30), back=st.floats(2.0, 1e9))
def test_a_clock_that_is_set_back_stops_nobody(happened: list[Happening], back: float) -> None:
    story = after(happened)
    pause, now = max(0.0, story.closed_until - story.now), story.now - back
    one = story.meter.reserved(now)
    assert pause - EPSILON <= one.wait(now, one.tickets) <= story.longest_pause + 130.0
    assert one.wait(now + story.longest_pause + 130.0, one.tickets) == 0.0


@given(passed=st.integers(1, 55), sent=st.integers(1, 14))
def test_what_is_saved_up_is_part_of_what_is_left(passed: int, sent: int) -> None:
    now = START + passed
    one = meter(reserve=0.0).reserved(START).observed(START, 1, 0.0, 1, 300, 60)
    for _ in range(1, sent):
        one = one.reserved(now)
    one = one.observed(now, sent, 0.0, sent, 300, 60 - passed)
    lasts = one.turns_at() - now
    assert one.level + one.rate * lasts <= 300 - sent
    assert one.level + one.rate * lasts >= min(300 - sent - 10, HASTE * 300 / 60 * lasts)


@pytest.mark.parametrize(("count", "saved"), [(290, 7), (296, 1), (299, 0)])
def test_no_more_is_saved_up_than_is_left(count: int, saved: int) -> None:
    one, now = meter(reserve=0.0).reserved(START), START + 59.0
    one = replace(one.observed(START, 1, 0.0, 1, 300, 60), first_ticket=2 - count)  # all counted are ours
    one = one.observed(now, 1, 0.0, count, 300, 1)
    for _ in range(20):
        one = one.reserved(now)
    assert sum(one.wait(now, ticket) == 0.0 for ticket in range(2, 22)) == saved


def test_an_idle_client_saves_up_a_few_requests_and_no_more() -> None:
    one = meter().reserved(START)
    for _ in range(40):
        one = one.reserved(START + 1_000.0)
    assert sum(one.wait(START + 1_000.0, ticket) == 0.0 for ticket in range(2, 42)) == 13


def test_after_a_pause_nothing_is_saved_up() -> None:
    one = meter().reserved(START).paused(START + 50.0, 10.0)
    for _ in range(4):
        one = one.reserved(START + 50.0)
    waits = [one.wait(START + 60.0, ticket) for ticket in range(2, 6)]
    assert waits == pytest.approx([60.0 / 270 * place for place in range(1, 5)])


def test_tickets_of_the_dead_are_let_go() -> None:
    one = meter()
    for _ in range(5_000):
        one = one.reserved(START)
    assert one.wait(START, one.tickets) <= LONGEST_LINE / 270 * 60 + EPSILON


def test_a_full_window_is_closed_until_its_end_as_known_best() -> None:
    one = meter().reserved(START).observed(START + 0.1, 1, 0.1, 1, 300, 20)
    one = one.observed(START + 10.9, 1, 0.1, 300, 300, 10).reserved(START + 11.0)
    assert one.wait(START + 11.0, 2) == pytest.approx(9.1)


def test_a_full_window_is_closed_until_its_end() -> None:
    one = meter().reserved(START).observed(START + 0.1, 1, 0.1, 300, 300, 20).reserved(START + 1.0)
    assert one.wait(START + 1.0, 2) == pytest.approx(19.1)


def test_the_reading_says_what_is_known() -> None:
    fresh = meter().reading(START)
    assert (fresh.allowed, fresh.used, fresh.resets_in, fresh.paused_for) == (300, 0, 0.0, 0.0)
    assert fresh.per_minute == pytest.approx(270.0)
    one = meter().reserved(START).observed(START + 20.1, 1, 0.1, 51, 240, 40).paused(START + 20.1, 5.0)
    known = one.reading(START + 22.1)
    assert (known.allowed, known.used) == (240, 51)
    assert known.others_per_minute == pytest.approx(130.0, abs=10.0)
    assert known.resets_in == pytest.approx(38.0)
    assert known.paused_for == pytest.approx(3.0)
    assert one.reading(START + 100.0).used == 0
