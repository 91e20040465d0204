"""What the fault runs share: a twin for each life, what an undisturbed life leaves, and the sums at the end."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

import pytest

from contact_sync.simulator.server import TwinServer
from contact_sync_tests.chaos import story
from contact_sync_tests.chaos.life import Aftermath, Life

SEED = int(os.environ.get("CHAOS_SEED", "1"))
"""`make chaos` draws one and prints it; the same one draws the same faults again."""

Tell = Callable[[str, Mapping[str, int], Mapping[str, int]], None]
"""Takes what is counted (`kills`, `faults`), how often by name, and what came of it; summed up at the end."""

_PROPERTY = "chaos"


@pytest.fixture
def twin() -> Iterator[TwinServer]:
    with TwinServer(story.ORGANIZATION) as server:
        yield server


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Live a life in which nothing goes wrong, and say what it leaves."""
    with TwinServer(story.ORGANIZATION) as server:
        life = Life(tmp_path_factory.mktemp("undisturbed") / "life", server)
        for _ in story.CHAPTERS:
            life.turn_the_page()
            assert life.go_on()
        life.settle()
        left = life.aftermath()
    assert (left.queue, left.failed) == (story.NEVER_DELIVERED, 0)
    assert left.received == left.recorded
    assert left.commits == len(story.CHAPTERS)
    return left


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    def told(what: str, hits: Mapping[str, int], came_of_it: Mapping[str, int]) -> None:
        record_property(_PROPERTY, json.dumps([what, dict(hits), dict(came_of_it)]))

    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum up what the runs told; the properties of a report come from other processes, too."""
    hits: dict[str, Counter[str]] = defaultdict(Counter)
    came_of_it: dict[str, Counter[str]] = defaultdict(Counter)
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                what, by_name, numbers = json.loads(str(value))
                hits[what].update(by_name)
                came_of_it[what].update(numbers)
    if terminalreporter.config.getoption("markexpr") != "chaos":
        return
    terminalreporter.section(f"CHAOS_SEED={SEED}")
    for what, by_name in sorted(hits.items()):
        each = ", ".join(f"{count:,} {name}" for name, count in sorted(by_name.items()))
        sums = ", ".join(f"{count:,} {name}" for name, count in came_of_it[what].items())
        terminalreporter.write_line(f"{by_name.total():,} {what}: {sums}")
        terminalreporter.write_line(f"  ({each})")
