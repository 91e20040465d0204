from datetime import timedelta

import pytest

from contact_sync.steps.backoff import FIRST, LONGEST, next_attempt
from contact_sync_tests.steps.world import START

RECORDS = [f"r{number}" for number in range(200)]


def delays(attempts: int) -> list[timedelta]:
    return [next_attempt(START, attempts, crm_id) - START for crm_id in RECORDS]


@pytest.mark.parametrize(("attempts", "whole"), [(1, FIRST), (2, 2 * FIRST), (5, 16 * FIRST), (7, 64 * FIRST)])
def test_each_attempt_doubles_the_delay_less_up_to_half_of_it(attempts: int, whole: timedelta) -> None:
    assert whole < LONGEST
    assert whole / 2 < min(delays(attempts)) < whole * 0.55
    assert whole * 0.95 < max(delays(attempts)) <= whole


@pytest.mark.parametrize("attempts", [8, 17, 100, 1_000_000])
def test_no_delay_is_longer_than_the_longest(attempts: int) -> None:
    assert LONGEST / 2 < min(delays(attempts)) < max(delays(attempts)) <= LONGEST


def test_records_that_failed_together_are_not_tried_together() -> None:
    assert len(set(delays(1))) == len(RECORDS)
    thirds = [int(delay / FIRST * 6) for delay in delays(1)]  # of the half that the jitter covers
    assert all(40 < thirds.count(third) < 95 for third in (3, 4, 5))


def test_the_same_attempt_is_due_at_the_same_time_whenever_that_is_computed() -> None:
    assert delays(3) == delays(3)
    assert next_attempt(START, 1, "a") - START != (next_attempt(START, 2, "a") - START) / 2
