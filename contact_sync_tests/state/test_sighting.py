import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync_tests.state.traffic import LATENCIES, START, meter, traffic

EPSILON = 1e-3


@settings(deadline=None)
@given(seed=st.integers(), latency=st.sampled_from(sorted(LATENCIES)), seconds=st.floats(5.0, 130.0))
def test_the_end_of_the_window_is_where_it_is_held_to_be(seed: int, latency: str, seconds: float) -> None:
    world = traffic(seed, latency)
    world.start(processes=2, threads=8)
    world.run(seconds)
    known = world.meter
    assert any(known.ends_from - EPSILON <= end <= known.ends_by + EPSILON for end in world.server.ends)


@pytest.mark.parametrize(
    ("later", "elapsed", "reset"), [(30.0, 10.1, 40), (30.0, 0.1, 121), (70.0, 9.0, 1), (61.0, 5.0, 3)]
)
def test_an_answer_that_tells_nothing_of_this_window_changes_nothing(
    later: float, elapsed: float, reset: int
) -> None:
    one = meter().reserved(START).observed(START + 0.1, 1, 0.1, 1, 300, 60)
    if later > 60.0:  # of the window before
        one = one.reserved(START + 60.2).observed(START + 60.3, 2, 0.1, 1, 300, 60)
    now = START + later
    assert one.observed(now, 2, elapsed, 250, 200, reset) == one.advanced(now).paced(now)


def test_a_process_that_slept_with_its_ticket_costs_others_nothing() -> None:
    world = traffic(0)
    world.start(processes=2, threads=8)
    world.run(90.0)
    awake = world.meter
    late = awake.observed(world.now, 1, 0.1, awake.count + 1, 300, 31)
    after = late.observed(world.now, awake.counted_ticket + 2, 0.1, awake.count + 2, 300, 31)
    assert after.rate == pytest.approx(awake.rate, rel=0.05)


def test_a_window_of_another_token_takes_its_share_of_our_tickets_along() -> None:
    one = meter().reserved(START).observed(START, 1, 0.0, 1, 300, 60)
    for _ in range(89):
        one = one.reserved(START + 30.0)
    one = one.observed(START + 30.0, 90, 0.0, 30, 300, 40)  # it has lasted for 20 s
    assert one.used(90.0) == pytest.approx(90 * 20 / 30, abs=4)


def test_resets_that_miss_each_other_by_a_second_are_of_one_window() -> None:
    one = meter().reserved(START).observed(START, 1, 0.0, 1, 300, 60)
    for number in range(2, 40):
        now = START + number / 4
        one = one.reserved(now).observed(now, number, 0.0, number, 300, 61 - int(number / 4) + number % 2)
    assert (one.first_ticket, one.count) == (1, 39)
    assert one.reading(START + 10.0).others_per_minute < 1.0


def test_others_are_forgotten_after_two_minutes_of_silence() -> None:
    one = meter().reserved(START).observed(START + 30.1, 1, 0.1, 101, 300, 30)
    assert one.reading(START + 31.0).others_per_minute == pytest.approx(200.0, rel=0.1)
    soon = one.reserved(START + 61.0).observed(START + 61.1, 2, 0.1, 1, 300, 60)
    late = one.reserved(START + 161.0).observed(START + 161.1, 2, 0.1, 1, 300, 60)
    assert soon.reading(START + 61.2).per_minute < 130.0
    assert late.reading(START + 161.2).per_minute == pytest.approx(270.0, rel=0.1)
