"""Salesforce's feed of deletions: what is gone for good is told, and a feed that was left too long is given up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.source import (
    CrmConfigurationError,
    CrmUnavailableError,
    DeleteFeed,
    DeleteFeedExpiredError,
    Deletions,
)
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync_tests.crm.salesforce_harness import opened
from contact_sync_tests.crm.test_salesforce import Clock, contact

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
FIRST, SECOND, THIRD = (record_id("003", number) for number in range(3))


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def org(clock: Clock) -> Iterator[SalesforceServer]:
    with SalesforceServer(OrgSettings(clock=clock, max_deleted=100)) as server:
        for number in range(3):
            server.org.records.put("Contact", contact(number))
        yield server


@pytest.fixture
def source(org: SalesforceServer) -> Iterator[SalesforceSource]:
    with opened(org) as source:
        yield source


def begun(source: SalesforceSource) -> str:
    """Return the token of a feed that has just begun."""
    [page] = source.deletions(None)
    assert (page.ids, isinstance(source, DeleteFeed)) == ((), True)
    assert page.token is not None
    return page.token


def followed(source: SalesforceSource, token: str | None) -> tuple[list[str], str]:
    """Return what the feed tells from a token on, and where it ended."""
    pages: list[Deletions] = list(source.deletions(token))
    return [one for page in pages for one in page.ids], pages[-1].token or ""


def test_what_is_gone_for_good_is_told_once(org: SalesforceServer, source: SalesforceSource, clock: Clock) -> None:
    token = begun(source)
    clock.now += timedelta(minutes=10)
    org.org.records.purge("Contact", [FIRST])
    org.org.records.delete("Contact", [SECOND, THIRD])
    org.org.records.undelete("Contact", THIRD)
    clock.now += timedelta(minutes=10)
    told, after = followed(source, token)
    assert sorted(told) == [FIRST, SECOND]
    clock.now += timedelta(minutes=10)
    assert followed(source, after)[0] == []


def test_what_left_the_recycle_bin_long_ago_is_still_told(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    token = begun(source)
    clock.now += timedelta(minutes=10)
    org.org.records.delete("Contact", [FIRST])
    clock.now += timedelta(days=20)
    assert list(source.current([FIRST])) == []
    assert followed(source, token)[0] == [FIRST]


def test_a_long_absence_is_caught_up_day_by_day(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    token = begun(source)
    for crm_id in (FIRST, SECOND, THIRD):
        clock.now += timedelta(days=3)
        org.org.records.purge("Contact", [crm_id])
    clock.now += timedelta(hours=1)
    pages = list(source.deletions(token))
    assert [one for page in pages for one in page.ids] == [FIRST, SECOND, THIRD]
    assert len(pages) == 10
    resumed = next(page.token for page in pages if SECOND in page.ids)
    assert followed(source, resumed)[0] == [THIRD]


def test_a_feed_that_was_just_read_has_nothing_to_tell(source: SalesforceSource, clock: Clock) -> None:
    token = begun(source)
    clock.now += timedelta(seconds=50)
    assert list(source.deletions(token)) == []


def test_a_feed_that_was_left_for_more_than_a_month_has_expired(source: SalesforceSource, clock: Clock) -> None:
    token = begun(source)
    clock.now += timedelta(days=31)
    with pytest.raises(DeleteFeedExpiredError, match="all keys have to be read instead") as expired:
        list(source.deletions(token))
    assert expired.value.__context__ is None
    assert begun(source) > token


def test_a_feed_that_lags_behind_a_long_transaction_is_not_taken_for_complete(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    token = begun(source)
    clock.now += timedelta(hours=2)
    org.org.covered_until = clock.now - timedelta(hours=1)
    told, after = followed(source, token)
    assert (told, datetime.fromisoformat(after)) == ([], org.org.covered_until)
    org.org.records.purge("Contact", [FIRST], at=clock.now - timedelta(minutes=30))  # committed later
    org.org.covered_until = None
    assert followed(source, after)[0] == [FIRST]


def test_too_many_deletions_at_once_are_found_by_reading_all_keys(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    token = begun(source)
    org.org.records.purge("Contact", [record_id("003", number) for number in range(101)])
    clock.now += timedelta(minutes=10)
    with pytest.raises(DeleteFeedExpiredError):
        list(source.deletions(token))


def test_a_feed_that_cannot_be_read_has_not_expired(
    org: SalesforceServer, source: SalesforceSource, clock: Clock
) -> None:
    token = begun(source)
    clock.now += timedelta(minutes=10)
    org.trouble.plan("forbidden", path="/deleted")
    with pytest.raises(CrmConfigurationError):
        list(source.deletions(token))
    org.trouble.plan("html", path="/deleted", times=100)
    with pytest.raises(CrmUnavailableError):
        list(source.deletions(token))
