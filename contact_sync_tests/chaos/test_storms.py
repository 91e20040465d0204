"""Answers that are lost, cut off, late or wrong: in the end Genesys holds what it would hold without all that."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contact_sync.genesys.errors import GenesysError
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.server import TwinServer
from contact_sync.steps import sending
from contact_sync_tests.chaos import story
from contact_sync_tests.chaos.conftest import SEED, Tell
from contact_sync_tests.chaos.life import Aftermath, contacts_of
from contact_sync_tests.chaos.victim import work
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync

RUNS = 200
SEEDS = 3

STORMS = {
    "lost": Faults(lost=0.2),
    "reset": Faults(reset=0.2),
    "gateway": Faults(server_error_done=0.2, server_error_status=502, server_error_html=True),
    "items": Faults(item_error=0.1, item_error_done=0.2),
    "throttled": Faults(throttled=0.3, retry_after=2),
    "login": Faults(token_revoked=0.3, token_error=0.3, token_throttled=0.3),
    "small": Faults(max_bulk_items=1, max_body_bytes=1_500, lost=0.1),
    "everything": Faults(
        refused=0.05,
        lost=0.1,
        reset=0.05,
        throttled=0.1,
        retry_after=2,
        server_error=0.05,
        server_error_done=0.05,
        token_revoked=0.05,
        token_error=0.1,
        token_throttled=0.1,
        item_error=0.05,
        item_error_done=0.05,
        max_bulk_items=2,
    ),
}


@pytest.fixture
def opened(tmp_path: Path, twin: TwinServer, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Sync]]:
    syncs: list[Sync] = []

    def open_on(backend: str) -> Sync:
        state_url = str(request.getfixturevalue("postgres_url")) if backend == "postgresql" else ""
        syncs.append(Sync(tmp_path / "home", twin, state_url, settings=story.settings()))
        return syncs[0]

    yield open_on
    for sync in syncs:
        sync.close()


def endure(sync: Sync, storm: Faults, draw: random.Random) -> None:
    """Live all chapters in a storm, some before the ones before them are synced, until nothing waits."""
    sync.twin.faults = storm.model_copy(update={"seed": draw.randrange(1_000_000)})
    if sync.state_url:  # PostgreSQL's clock, by which pauses are kept, is nobody's to turn
        sync.twin.faults = sync.twin.faults.model_copy(update={"at_most": {"throttled": 3}})
    chapters = 0
    for run in range(RUNS):
        if chapters < len(story.CHAPTERS) and draw.random() < 0.4:
            story.live(sync.crm, chapters)
            chapters += 1
        try:
            work(sync, chapters, f"run {run}", together=draw.random() < 0.5)
        except GenesysError:  # this run failed; the next one goes on
            sync.reopen()
        over = len(sync.committed()) == len(story.CHAPTERS)
        if over and all(row["state"] == "dead" for row in sync.queue().values()):
            return
        sync.later(hours=1)
        sync.pace_clock.sleep(3_600)
    raise AssertionError("it never ends")


def assert_unharmed(sync: Sync, undisturbed: Aftermath, tell: Tell) -> None:
    contacts = contacts_of(sync)
    lost = sum(one not in contacts for one in undisturbed.contacts)
    too_many = sum(one not in undisturbed.contacts for one in contacts)
    hits = sync.stats()["faults"]
    tell("faults", hits, {"contacts lost": lost, "too many or wrong": too_many, "storms": 1})
    assert hits
    assert contacts == undisturbed.contacts
    assert {crm_id: row["state"] for crm_id, row in sync.queue().items()} == story.NEVER_DELIVERED
    assert sync.table("in_flight") == []
    for number in range(len(story.CHAPTERS)):
        assert_accounted(sync, number)


@pytest.fixture(autouse=True)
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    upserts, removals = story.ITEMS_A_REQUEST
    monkeypatch.setattr(sending, "MAX_UPSERTS", upserts)
    monkeypatch.setattr(sending, "MAX_REMOVALS", removals)


@pytest.mark.parametrize("storm", ["lost", "everything"])
def test_a_storm_leaves_no_trace(
    opened: Callable[[str], Sync], undisturbed: Aftermath, tell: Tell, storm: str
) -> None:
    sync = opened("sqlite")
    endure(sync, STORMS[storm], random.Random(2))  # noqa: S311 (a storm that can be repeated)
    assert_unharmed(sync, undisturbed, tell)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS), ids=lambda seed: f"CHAOS_SEED={seed}")
@pytest.mark.parametrize("storm", STORMS)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_no_storm_leaves_a_trace(
    opened: Callable[[str], Sync], undisturbed: Aftermath, tell: Tell, backend: str, storm: str, seed: int
) -> None:
    sync = opened(backend)
    endure(sync, STORMS[storm], random.Random(f"{storm} {seed}"))  # noqa: S311
    assert_unharmed(sync, undisturbed, tell)
