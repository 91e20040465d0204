"""What the tests of the steps share: a twin for each module, emptied for each test, and a sync into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore
from contact_sync_tests.project import Project, opened_project
from contact_sync_tests.steps.examined import LEAST
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import Clock


@pytest.fixture(scope="module")
def shared_twin() -> Iterator[TwinServer]:
    with TwinServer(TwinSettings(requests_per_minute=1_000_000)) as server:
        yield server


def emptied(twin: TwinServer) -> TwinServer:
    fresh = TwinStore(twin.settings)
    twin.store.sources.load(fresh.sources.dump())
    twin.store.contacts.load(fresh.contacts.dump())
    twin.store.organizations.load(fresh.organizations.dump())
    twin.store.contact_schemas.load(fresh.contact_schemas.dump())
    return twin


@pytest.fixture
def twin(shared_twin: TwinServer) -> TwinServer:
    return emptied(shared_twin)


@pytest.fixture
def sync(twin: TwinServer, tmp_path: Path) -> Iterator[Sync]:
    with Sync(tmp_path / "home", twin) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(sync: Sync) -> Answers:
    """Stand between the sync, which sends one request at a time, and the twin."""
    sync.configure(concurrency=1)
    return Answers(sync.session)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Open a project for the doctor, whose client may do just enough."""
    with opened_project(tmp_path, permissions=LEAST) as opened:
        yield opened
