"""A twin for every test: in memory for rules, over HTTP for what a client sees."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore
from contact_sync_tests.simulator.api import Api

Json = dict[str, Any]
START = 1_780_000_000.0


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> TwinStore:
    return TwinStore(TwinSettings(clock=clock))


@pytest.fixture
def source(store: TwinStore) -> str:
    return str(store.sources.create({"name": "crm"})["id"])


Start = Callable[..., Api]


@pytest.fixture
def start(clock: ManualClock) -> Iterator[Start]:
    """Start twins with other settings."""
    running: list[TwinServer] = []

    def start_one(**settings: Any) -> Api:  # noqa: ANN401 -- settings of any type
        running.append(TwinServer(TwinSettings(**{"clock": clock} | settings)))
        return Api(running[-1])

    yield start_one
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def shared_twin() -> Iterator[TwinServer]:
    with TwinServer(TwinSettings(requests_per_minute=100_000)) as server:
        yield server


@pytest.fixture
def api(shared_twin: TwinServer) -> Api:
    """Talk to a twin that the tests of one module share, emptied beforehand."""
    empty = TwinStore(shared_twin.settings)
    for name in ("sources", "contact_schemas", "organization_schemas", "contacts", "organizations"):
        getattr(shared_twin.store, name).load(getattr(empty, name).dump())
    return Api(shared_twin)
