import math
from collections.abc import Callable, Iterable
from random import Random

import pytest

from contact_sync_tests.state.traffic import LATENCIES, START, WINDOW, Server, bursts, poisson, steady, traffic

MINUTES = 4
SECONDS = 60.0 * MINUTES

Others = Callable[[Random], Iterable[float]]
SEEDS, RESERVES = range(4), (0.1, 0.0)

each_latency = pytest.mark.parametrize("latency", LATENCIES)


def hundred_steady(random: Random) -> Iterable[float]:
    return steady(random, 100.0, 0.0, SECONDS)


def hundred_poisson(random: Random) -> Iterable[float]:
    return poisson(random, 100.0, 0.0, SECONDS)


@each_latency
@pytest.mark.parametrize(("others", "bar"), [(hundred_steady, 0.92), (hundred_poisson, 0.88)])
@pytest.mark.parametrize("restart_every", [None, 20.0])
def test_others_get_all_their_calls_and_we_the_rest(
    latency: str, others: Others, bar: float, restart_every: float | None
) -> None:
    for seed in SEEDS:
        world, processes = traffic(seed, latency, RESERVES[seed % 2]), seed % 3 + 1
        world.others_call(others(world.random))
        world.start(processes, threads=24 // processes)
        if restart_every:
            world.restart(restart_every, 11, processes, threads=24 // processes)
        world.run(SECONDS)
        assert world.refused() == 0
        assert bar <= world.share() < 1.0


@each_latency
@pytest.mark.parametrize(("reserve", "least", "most"), [(0.1, 0.875, 0.91), (0.0, 0.96, 1.0)])
def test_alone_all_but_the_reserve_is_used(latency: str, reserve: float, least: float, most: float) -> None:
    for seed in SEEDS:
        world = traffic(seed, latency, reserve)
        world.start(processes=2, threads=12)
        world.run(SECONDS)
        assert world.refused() == 0
        assert least <= world.share() <= most


@each_latency
@pytest.mark.parametrize("restart_every", [None, 20.0])
def test_where_each_token_has_a_window_we_use_one_budget_together(
    latency: str, restart_every: float | None
) -> None:
    for seed in SEEDS:
        world = traffic(seed, latency, RESERVES[seed % 2])
        world.per_token = True
        world.start(processes=2, threads=12)
        if restart_every:
            world.restart(restart_every, 11, processes=2, threads=12)
        world.run(SECONDS)
        assert world.refused() == 0
        assert 0.85 <= world.share() <= 1.0
        assert all(world.ours(since, since + 60.0) <= 300 for since in range(0, int(SECONDS) - 60, 5))


@pytest.mark.parametrize("latency", ["near", "far"])
@pytest.mark.parametrize(("size", "every"), [(20, 12.0), (50, 30.0), (100, 60.0)])
def test_bursts_have_room_once_they_are_known(latency: str, size: int, every: float) -> None:
    refused, seeds = 0, range(12)
    for seed in seeds:
        world = traffic(seed, latency)
        world.others_call(bursts(world.random, size, every, SECONDS))
        world.start(processes=2, threads=12)
        world.run(SECONDS)
        refused += world.refused(since=130.0)
        assert world.share() >= 0.85
    assert refused / (len(seeds) * 200) <= 0.03  # a window that holds one burst more than the one before


def test_others_who_were_refused_get_more_the_next_time() -> None:
    world = traffic(0)
    for minute in range(6):
        world.others_call(59.0 + 60.2 * minute + 0.001 * number for number in range(100))
    world.start(processes=2, threads=12)
    world.run(6 * 60.2)
    assert world.refused() > 0  # the first window's last second is theirs: nothing told of them before
    assert world.refused(since=4 * 60.2) == 0


def test_independent_callers_vary_and_are_hardly_ever_refused() -> None:
    refused, asked = 0, 0
    for seed in range(12):
        world = traffic(seed, "far", reserve=0.0)
        world.others_call(poisson(world.random, 150.0, 0.0, SECONDS))
        world.start(processes=2, threads=12)
        world.run(SECONDS)
        refused, asked = refused + world.refused(), asked + 150 * MINUTES
    assert refused / asked <= 0.0006


def test_what_was_not_sent_is_made_up_for() -> None:
    world = traffic(0, reserve=0.0)
    world.start(processes=2, threads=12)
    world.restart(15.0, 1, processes=2, threads=12)
    world.startup = 15.0
    world.run(SECONDS)
    assert world.refused() == 0
    assert world.ours(0, 60) >= 0.97 * 300


@each_latency
def test_others_who_come_and_go_are_made_room_for(latency: str) -> None:
    for seed in SEEDS:
        world = traffic(seed, latency)
        world.others_call(steady(world.random, 100.0, 70.0, 130.0))
        world.start(processes=2, threads=12)
        world.run(SECONDS + 60.0)
        assert world.refused() == 0
        assert world.ours(0, 60) == pytest.approx(270, abs=16)
        assert world.ours(240, 300) == pytest.approx(270, abs=16)


def test_others_who_want_everything_leave_us_a_little_and_all_of_it_when_they_stop() -> None:
    world = traffic(0)
    world.others_call(steady(world.random, 400.0, 0.0, 240.0))
    world.start(processes=2, threads=8)
    world.run(480.0)
    assert 2 <= world.ours(61, 240) <= 25
    assert world.ours(360, 480) == pytest.approx(540, abs=20)


@pytest.mark.parametrize("window", ["fixed", "of the clock"])
@pytest.mark.parametrize("rounding", [math.ceil, round, lambda left: math.ceil(left) + 1])
def test_windows_may_be_of_the_clock_and_resets_rounded_otherwise(
    window: str, rounding: Callable[[float], int]
) -> None:
    class Odd(Server):
        def open(self, now: float, owner: str) -> None:
            super().open(now if window == "fixed" else now - now % WINDOW, owner)

        def reset(self, left: float) -> int:
            return rounding(left)

    for seed in SEEDS:
        world = traffic(seed, server=Odd())
        world.others_call(hundred_steady(world.random))
        world.start(processes=2, threads=8)
        world.run(SECONDS)
        assert world.refused() == 0
        assert world.share() >= 0.9


def test_what_genesys_allows_is_learned_from_its_answers() -> None:
    for allowed in (60, 180, 3_000):
        world = traffic(0, server=Server(allowed))
        world.start(processes=2, threads=24)
        world.run(SECONDS)
        assert world.refused() == 0
        assert 0.85 <= world.share() <= 0.91


@pytest.mark.parametrize("latency", ["near", "uneven"])
def test_a_pause_holds_everybody_and_costs_nobody_his_place(latency: str) -> None:
    for seed in SEEDS:
        world = traffic(seed, latency)
        world.start(processes=3, threads=8)
        for moment in (10.0, 35.0, 38.0, 100.0):
            world.at(START + moment, lambda: world.pause(8.0))  # noqa: B023 (called before the next round)
        world.run(SECONDS)
        assert world.after_pause >= 0.0
        assert world.refused() == 0
        assert world.share() >= 0.8
