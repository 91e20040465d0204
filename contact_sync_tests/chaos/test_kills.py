"""Kill the process anywhere, start another: no contact is lost, none is there twice, nothing is sent in vain."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from contact_sync.simulator.faults import Faults
from contact_sync.simulator.server import TwinServer
from contact_sync_tests.chaos import story
from contact_sync_tests.chaos.conftest import SEED, Tell
from contact_sync_tests.chaos.life import Aftermath, Life
from contact_sync_tests.thorough import thorough

LIVES = 24

Begin = Callable[[str], Life]

DEATHS = {
    "sqlite": [
        [
            ("after piece crm_delta", 2),
            ("before publish normalized_contacts", 1),
            ("after match", 1),
            ("before locked", 1),  # with the delivery lock in its hands
            ("before request", 8),
            ("after request", 6),
            ("after queue", 4),  # the transaction of an answer, before it is committed
            ("after transaction", 4),
            ("before publish genesys_upserts", 1),
            ("after publish genesys_upserts", 1),
            ("after ledger", 1),
        ],
        [("after piece dedup_matches", 1), ("after rename", 4)],
        [("after due", 1), ("before retry", 1), ("after request", 2)],
        [],
        [],
    ],
    "postgresql": [
        [("before locked", 1), ("after links", 3), ("after request", 6), ("after publish genesys_upserts", 1)],
        [("before ledger", 1)],
        [("after request", 2)],
        [],
        [],
    ],
}


@pytest.fixture
def begin(tmp_path: Path, twin: TwinServer, request: pytest.FixtureRequest) -> Begin:
    def begun(backend: str) -> Life:
        state_url = str(request.getfixturevalue("postgres_url")) if backend == "postgresql" else ""
        return Life(tmp_path / "life", twin, state_url)

    return begun


def assert_unharmed(life: Life, undisturbed: Aftermath, tell: Tell) -> Aftermath:
    """Check that a life left what an undisturbed one leaves, and lost no answer but those under way."""
    left = life.aftermath()
    repeated = left.received - left.recorded - left.unheard
    lost, too_many = undisturbed.missing_in(left), left.missing_in(undisturbed)
    came_of_it = {"requests sent again": repeated, "contacts lost": lost, "too many or wrong": too_many}
    tell("kills", life.kills, came_of_it | {"lives": 1})
    assert left.contacts == undisturbed.contacts
    assert left.queue == undisturbed.queue == story.NEVER_DELIVERED
    assert repeated <= life.kills.total() * story.CONCURRENCY
    assert left.commits <= len(story.CHAPTERS) + life.rivals  # who comes second finds all of it unchanged
    return left


@pytest.mark.parametrize("backend", thorough(DEATHS, quick=1))
def test_after_a_dozen_deaths_all_is_as_if_there_had_been_none(
    begin: Begin, undisturbed: Aftermath, tell: Tell, backend: str
) -> None:
    life = begin(backend)
    for deaths in DEATHS[backend]:
        life.turn_the_page()
        for moment, nth in deaths:
            assert not life.go_on(at=moment, nth=nth), f"it never came to {moment}"
        assert life.go_on()
    life.settle()
    left = assert_unharmed(life, undisturbed, tell)
    assert left.received <= undisturbed.received + life.kills.total() * story.CONCURRENCY


@pytest.mark.chaos
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_after_a_death_at_every_moment(begin: Begin, undisturbed: Aftermath, tell: Tell, backend: str) -> None:
    life = begin(backend)
    for moments in undisturbed.moments[: len(story.CHAPTERS)]:
        life.turn_the_page()
        for moment in moments:
            if moment not in life.kills:
                life.go_on(at=moment)  # some are over for this chapter: nobody dies twice of one commit
        assert life.go_on()
    life.settle()
    assert set(life.kills) == {moment for moments in undisturbed.moments for moment in moments}
    left = assert_unharmed(life, undisturbed, tell)
    assert left.received <= undisturbed.received + life.kills.total() * story.CONCURRENCY


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(SEED, SEED + LIVES), ids=lambda seed: f"CHAOS_SEED={seed}")
def test_after_deaths_at_random(begin: Begin, undisturbed: Aftermath, tell: Tell, seed: int) -> None:
    """Items fail, too, and the CRM does not wait for the dead to come back."""
    draw = random.Random(seed)  # noqa: S311 (a history that can be repeated)
    life = begin(draw.choice(["sqlite", "postgresql"]))
    for chapter, moments in enumerate(undisturbed.moments[: len(story.CHAPTERS)]):
        life.turn_the_page()
        life.twin.faults = Faults(
            item_error=0.1, item_error_done=0.1, lost=0.02, latency_seconds=0.002, seed=draw.randrange(1_000_000)
        )
        for _ in range(draw.randint(1, 4)):
            work = {"together": draw.random() < 0.5, "piece": draw.choice([7, 20, 5_000])}
            if draw.random() < 0.5:
                beside = draw.random() < 0.3
                life.go_on_for(draw.uniform(0, 0.2), beside=beside, at="before locked", **work)
            else:
                life.go_on(at=draw.choice(moments), nth=draw.randint(1, 4), **work)
        if draw.random() < 0.5 or chapter == len(story.CHAPTERS) - 1:
            life.twin.faults = Faults()
            assert life.go_on()
    life.settle()
    assert_unharmed(life, undisturbed, tell)
