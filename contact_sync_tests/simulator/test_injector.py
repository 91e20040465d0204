from typing import Any

import pytest

from contact_sync.simulator.faults import Chance, Faults
from contact_sync.simulator.injector import Injector
from contact_sync.simulator.settings import TwinSettings
from contact_sync_tests.simulator.conftest import ManualClock


@pytest.fixture
def injector(clock: ManualClock) -> Injector:
    return Injector(TwinSettings(clock=clock))


def drawn(injector: Injector, name: Chance, count: int = 50, **faults: Any) -> list[bool]:  # noqa: ANN401 -- faults
    injector.faults = Faults(**faults)
    return [injector.hits(name) for _ in range(count)]


def test_a_share_is_hit_and_counted(injector: Injector) -> None:
    hits = sum(drawn(injector, "lost", 1000, lost=0.3))
    assert 250 < hits < 350
    assert injector.injected["lost"] == hits
    assert all(drawn(injector, "lost", lost=1))
    assert not any(drawn(injector, "reset", lost=1))


def test_a_seed_repeats_a_run_and_another_gives_another(injector: Injector) -> None:
    first, again, other = (drawn(injector, "lost", lost=0.5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_one_fault_does_not_shift_another(injector: Injector) -> None:
    alone = drawn(injector, "lost", lost=0.5)
    injector.faults = Faults(lost=0.5, reset=0.5)
    assert [(injector.hits("reset"), injector.hits("lost"))[1] for _ in range(50)] == alone


def test_a_count_bounds_a_fault_until_it_is_set_anew(injector: Injector) -> None:
    for _ in range(2):
        assert drawn(injector, "lost", 4, lost=1, at_most={"lost": 2}) == [True, True, False, False]
    assert injector.injected["lost"] == 4


def test_a_storm_ends_when_its_time_is_up(injector: Injector, clock: ManualClock) -> None:
    assert all(drawn(injector, "throttled", throttled=1, for_seconds={"throttled": 10}))
    clock.advance(9.9)
    assert injector.hits("throttled")
    clock.advance(0.1)
    assert not injector.hits("throttled")


def test_an_entity_meets_the_same_fate_every_time(injector: Injector) -> None:
    entities = [str(number) for number in range(1000)]
    fates = {}
    for seed in (1, 2):
        injector.faults = Faults(item_refused=0.1, seed=seed)
        rounds = [[injector.hits("item_refused", one) for one in entities] for _ in range(2)]
        assert rounds[0] == rounds[1]
        assert 60 < sum(rounds[0]) < 140
        fates[seed] = rounds[0]
    assert fates[1] != fates[2]


@pytest.mark.parametrize(
    ("lowered", "asked", "limit", "counted"),
    [(None, 11, 10, 0), (3, 3, 3, 0), (3, 4, 3, 1), (3, 11, 3, 0), (20, 15, 10, 0), (0, 1, 0, 1)],
)
def test_a_limit_is_only_ever_lowered(
    injector: Injector, lowered: int | None, asked: int, limit: int, counted: int
) -> None:
    injector.faults = Faults(max_bulk_items=lowered)
    assert injector.limit("max_bulk_items", 10, asked) == limit
    assert injector.injected["max_bulk_items"] == counted
