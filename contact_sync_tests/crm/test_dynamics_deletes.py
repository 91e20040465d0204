from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest

from contact_sync.crm import dynamics_deletes
from contact_sync.crm.dynamics import DynamicsSource
from contact_sync.crm.source import (
    CrmConfigurationError,
    CrmUnavailableError,
    DeleteFeedExpiredError,
    Deletions,
)
from contact_sync.simulator.dataverse.server import DataverseServer
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.faults import Faults
from contact_sync_tests.crm.dynamics_harness import source_of
from contact_sync_tests.simulator.conftest import ManualClock

DAY = 86_400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[DataverseServer]:
    with DataverseServer(DataverseSettings(clock=clock, page_size=4)) as server:
        yield server


@pytest.fixture
def source(server: DataverseServer) -> Iterator[DynamicsSource]:
    source = source_of(server)
    yield source
    source.close()


def follow(source: DynamicsSource, token: str | None) -> tuple[list[str], str]:
    pages: list[Deletions] = list(source.deletions(token))
    assert [page.token for page in pages[:-1]] == [None] * (len(pages) - 1)
    last = pages[-1].token
    assert last
    return list(chain.from_iterable(page.ids for page in pages)), last


def test_a_feed_begins_with_nobody_and_a_token(server: DataverseServer, source: DynamicsSource) -> None:
    people = [server.table.put({"firstname": "Ada"}) for _ in range(10)]
    server.table.delete(people[0])
    found, token = follow(source, None)
    assert found == []
    assert "firstname" not in "".join(seen.query for seen in server.seen)
    assert follow(source, token)[0] == []


def test_what_was_deleted_since_is_told_and_nothing_else(server: DataverseServer, source: DynamicsSource) -> None:
    people = [server.table.put({}) for _ in range(10)]
    _, token = follow(source, None)
    for one in people[:6]:  # more than a page
        server.table.delete(one)
    server.table.put({}, contact_id=people[7])
    server.table.deactivate(people[8])
    assert sorted(follow(source, token)[0]) == sorted(people[:6])
    server.table.delete(people[7])
    found, later = follow(source, token)  # the same token again tells the same, and more
    assert sorted(found) == sorted([*people[:6], people[7]])
    assert follow(source, later)[0] == []


def test_a_feed_survives_a_storm_between_its_pages(server: DataverseServer, source: DynamicsSource) -> None:
    people = [server.table.put({}) for _ in range(10)]
    _, token = follow(source, None)
    for one in people:
        server.table.delete(one)
    pages = source.deletions(token)
    found = [*next(pages).ids]
    server.access.revoke_all()
    server.faults = Faults(throttled=1, retry_after=1, at_most={"throttled": 2})
    assert sorted([*found, *chain.from_iterable(page.ids for page in pages)]) == sorted(people)


@pytest.mark.parametrize("days", [6.9, 7.1])
def test_a_token_is_too_old_after_seven_days(
    server: DataverseServer, source: DynamicsSource, clock: ManualClock, days: float
) -> None:
    one = server.table.put({})
    _, token = follow(source, None)
    server.table.delete(one)
    clock.advance(days * DAY)
    server.access.revoke_all()
    if days < 7:
        assert follow(source, token)[0] == [one]
        return
    with pytest.raises(DeleteFeedExpiredError, match=r"it keeps 7 days$") as expired:
        follow(source, token)
    assert expired.value.__context__ is None


@pytest.mark.parametrize(
    "token",
    ["", "x", "https://evil.example/api/data/v9.2/contacts?$deltatoken=1", "{0}.evil.example/api/data", "{0}"],
)
def test_a_token_of_elsewhere_is_no_token(server: DataverseServer, source: DynamicsSource, token: str) -> None:
    with pytest.raises(DeleteFeedExpiredError, match="another Dataverse environment"):
        follow(source, token.format(server.base_url))
    assert server.seen == []


def test_a_token_that_dataverse_does_not_understand_is_no_token(
    server: DataverseServer, source: DynamicsSource
) -> None:
    with pytest.raises(DeleteFeedExpiredError):
        follow(source, f"{server.base_url}/api/data/v9.2/contacts?$select=contactid&$deltatoken=x")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (DataverseSettings(change_tracking=False), "switch on Track changes"),
        (DataverseSettings(access="business unit"), "a security role that reads contacts at organization level"),
    ],
)
def test_where_nothing_can_be_tracked_nothing_is_told_but_why(
    settings: DataverseSettings, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with DataverseServer(settings) as server:
        source = source_of(server)
        assert list(source.deletions(None)) == []
        assert "are found by comparing all ids only: " in caplog.text
        assert why in caplog.text
        source.close()


def test_a_right_that_was_lost_is_the_operators(server: DataverseServer, source: DynamicsSource) -> None:
    _, token = follow(source, None)
    server.settings = replace(server.settings, access="business unit")
    with pytest.raises(CrmConfigurationError, match=r"reads contacts at organization level$"):
        follow(source, token)


def test_an_outage_is_no_expiry(server: DataverseServer, source: DynamicsSource) -> None:
    _, token = follow(source, None)
    server.faults = Faults(server_error=1)
    with pytest.raises(CrmUnavailableError):
        follow(source, token)
    server.faults = Faults()
    assert follow(source, token)[0] == []


def test_a_walk_that_ends_without_a_link_is_no_walk(
    source: DynamicsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics_deletes, "_delta_link", lambda _: None)
    with pytest.raises(CrmUnavailableError, match="without a link"):
        list(source.deletions(None))
