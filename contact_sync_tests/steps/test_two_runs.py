"""Two runs at once, as two processes: each person one contact, each window one commit, no request too many."""

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError
from contact_sync.state.store import Store
from contact_sync.steps.deliver import Delivered
from contact_sync_tests.state.test_lock import backend_of_the_lock, waiting_is_told
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_contacts import ADA
from contact_sync_tests.steps.world import moment, window

PATIENCE = 60.0  # seconds: a process imports a lot before it works


class Place(NamedTuple):
    """What a process needs to know to deliver."""

    folder: Path
    base_url: str
    state_url: str
    number: int


class Meeting(Store):
    """A state database whose delivery lock is asked for by all at once, none having seen what another did."""

    start: Barrier

    def delivery_lock(self) -> Any:  # noqa: ANN401 -- as the store's
        """Wait for the others, then ask."""
        self.start.wait(PATIENCE)
        return super().delivery_lock()


def meet_at(start: Barrier) -> None:
    Meeting.start = start


def delivered_at(place: Place) -> Delivered:
    """Deliver a window of the frames that lie in a folder; work of a process."""
    twin: Any = SimpleNamespace(base_url=place.base_url)
    with Sync(place.folder, twin, state_url=place.state_url) as sync:
        sync.context = replace(sync.context, store=Meeting(sync.engine))
        (delivered,) = sync.deliver(place.number)
        return delivered


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, meet_at, (context.Barrier(2),)) as pool:
        yield pool


@dataclass
class Runs:
    """A sync, and two processes that can deliver its windows."""

    sync: Sync
    processes: ProcessPoolExecutor

    def deliver(self, *numbers: int) -> list[Delivered]:
        sync = self.sync
        places = [Place(sync.folder, sync.twin.base_url, sync.state_url, number) for number in numbers]
        return list(self.processes.map(delivered_at, places))


@pytest.fixture(params=["sqlite", "postgresql"])
def runs(
    request: pytest.FixtureRequest, sync: Sync, tmp_path: Path, processes: ProcessPoolExecutor
) -> Iterator[Runs]:
    if request.param == "sqlite":
        yield Runs(sync, processes)
        return
    url = request.getfixturevalue("postgres_url")
    with Sync(tmp_path / "postgres", sync.twin, state_url=url) as on_postgres:
        yield Runs(on_postgres, processes)


def test_the_same_window_twice_at_once_is_delivered_once(runs: Runs) -> None:
    sync = runs.sync
    sync.crm.people(45, moment(0))
    sync.read(0)
    sync.plan(0)
    results: list[Delivered] = []
    seen = sync.writes(lambda: results.extend(runs.deliver(0, 0)))
    idle, busy = sorted(results, key=lambda one: one.requests)
    assert (idle.requests, idle.writes) == (0, 0)
    assert busy.writes == seen == 2 + 5  # the two external sources, and ten people a request
    assert idle.counts == busy.counts
    assert busy.counts["created"] == 45
    assert [one.records for one in sync.contacts()] == sorted(({f"p{n}"} for n in range(45)), key=sorted)
    assert len(sync.table("window_ledger")) == 1
    assert len(sync.table("audit")) == 45
    assert_accounted(sync, 0)


def test_a_person_in_two_windows_delivered_at_once_is_one_contact(runs: Runs) -> None:
    sync = runs.sync
    for number, crm_id in enumerate(("a", "b")):
        sync.crm.put(crm_id, moment(number), **ADA)
        sync.crm.people(12, moment(number), first=20 * number)
        sync.read(number)
        sync.plan(number)
    first, second = runs.deliver(0, 1)
    assert first.counts["created"] + second.counts["created"] == 25
    assert sorted([first.counts["merged"], second.counts["merged"]]) == [0, 1]
    assert sync.contact("a").records == {"a", "b"}
    assert len(sync.contacts()) == 25
    assert sync.committed() == [window(0), window(1)]


def test_a_run_that_waited_delivers_what_the_window_has_become(
    sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sync.crm.people(5, moment(0))
    sync.read(0)
    sync.plan(0)
    done: list[Delivered] = []
    waits = waiting_is_told(caplog)

    def work() -> None:
        with Sync(sync.folder, sync.twin) as other:
            done.extend(other.deliver(0))

    waiter = threading.Thread(target=work)
    with sync.context.store.delivery_lock():
        waiter.start()
        assert waits.wait(PATIENCE)
        sync.crm.put("p0", moment(1))
        sync.read(0)
        sync.plan(0)
    waiter.join(PATIENCE)
    (delivered,) = done
    assert (delivered.rows, delivered.counts["created"]) == (4, 4)
    assert_accounted(sync, 0)


def test_a_lock_that_is_lost_on_the_way_commits_nothing(sync: Sync, postgres_url: str, tmp_path: Path) -> None:
    with Sync(tmp_path / "postgres", sync.twin, state_url=postgres_url) as lost:
        lost.crm.people(5, moment(0))
        lost.read(0)
        lost.plan(0)

        def cut(_window: Window, _ended: int, _rows: int) -> None:
            with lost.engine.begin() as connection:
                connection.execute(sa.select(sa.func.pg_terminate_backend(backend_of_the_lock(connection))))

        with pytest.raises(StateError, match="delivery lock was lost"):
            lost.deliver(0, progress=cut)
        assert lost.committed() == []
        assert not Path(lost.context.frames.path("genesys_upserts", window(0))).exists()
        assert lost.sync(0) == {"unchanged": 5}
