from collections.abc import Iterator
from datetime import timedelta

import pytest

from contact_sync.contacts.window import Window
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync_tests.crm.contract import HALF_HOUR, NOON, WINDOW, Harness, Record, SourceContract, read
from contact_sync_tests.crm.dynamics_harness import DynamicsHarness

SECOND = timedelta(seconds=1)


class TestDynamics(SourceContract):
    @pytest.fixture
    def harness(self) -> Iterator[DynamicsHarness]:
        with DataverseServer() as server:
            harness = DynamicsHarness(server)
            yield harness
            harness.close()

    def test_modified_at_is_exact_and_utc(self, harness: Harness) -> None:
        """Exact to the second: Dataverse keeps no more."""
        harness.put([Record("1", NOON + timedelta(seconds=1, microseconds=123_456))])
        (change,) = read(harness.source())
        assert (change.modified_at, change.modified_at.utcoffset()) == (NOON + timedelta(seconds=1), timedelta())

    def test_unlisted_fields_are_counted_within_the_window(self, harness: Harness) -> None:
        """Of windows that begin and end with a second: what changed within it cannot be told apart."""
        names = {"1": "Countess", "2": "Bob", "3": None}
        harness.put(Record(crm_id, nickname=name) for crm_id, name in names.items())
        harness.put(
            [Record("4", WINDOW.end, nickname="Late"), Record("5", WINDOW.start - SECOND, nickname="Early")]
        )
        source = harness.source()
        assert source.unlisted(WINDOW) == {harness.nickname: 2}
        assert source.unlisted(Window(NOON - HALF_HOUR, NOON - SECOND)) == {}
