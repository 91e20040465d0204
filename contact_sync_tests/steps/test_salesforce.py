"""The lineage from an organisation of Salesforce on its bad days: nothing is lost, the watermark stays honest."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contact_sync.crm.source import CrmError, CrmExhaustedError
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.trouble import Kind
from contact_sync.simulator.server import TwinServer
from contact_sync.steps.gone import follow_feed
from contact_sync_tests.crm.salesforce_harness import CREDENTIALS
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.crms import (
    SalesforceCrm,
    SyncElsewhere,
    audited_and_synced,
    in_small_pages,
    person,
    synced,
)
from contact_sync_tests.steps.world import Clock, moment, number_of_now, window
from contact_sync_tests.thorough import thorough

PEOPLE = 450
KINDS: tuple[Kind, ...] = (
    *("lost", "reset", "html", "throttled", "expired", "locator_lost", "page_skipped", "maintenance"),
)


@pytest.fixture
def crm(clock: Clock) -> Iterator[SalesforceCrm]:
    crm = SalesforceCrm(clock.seconds)
    with crm.server:
        yield crm


@pytest.fixture
def sync(crm: SalesforceCrm, twin: TwinServer, tmp_path: Path, clock: Clock) -> Iterator[SyncElsewhere]:
    with in_small_pages(tmp_path / "home", twin, crm, clock) as opened:
        yield opened


@pytest.mark.parametrize("kind", thorough(KINDS))
def test_a_page_lost_in_the_middle_of_a_window_loses_nobody(
    sync: SyncElsewhere, crm: SalesforceCrm, kind: Kind
) -> None:
    people = {person(crm, number, number / 60) for number in range(PEOPLE)}
    crm.server.trouble.plan(kind, path="/queryAll/0")
    assert sync.sync(0) == {"created": PEOPLE}
    assert crm.server.trouble.hits[kind] == 1
    assert synced(sync) == people
    assert_accounted(sync, 0)


@pytest.mark.parametrize("kind", thorough(["html", "foreign_link", "lost", "forbidden"]))
def test_an_organisation_that_cannot_be_read_leaves_the_window_open_and_a_later_run_catches_up(
    sync: SyncElsewhere, crm: SalesforceCrm, kind: Kind
) -> None:
    people = {person(crm, number) for number in range(PEOPLE)}
    crm.server.trouble.plan(kind, times=1_000, path="/queryAll")
    with pytest.raises(CrmError):
        sync.sync(0)
    assert (sync.committed(), synced(sync)) == ([], set())
    crm.server.trouble.clear()
    sync.sync(0)
    assert (sync.committed(), synced(sync)) == ([window(0)], people)


def test_the_daily_limit_in_the_middle_leaves_the_window_open(sync: SyncElsewhere, crm: SalesforceCrm) -> None:
    people = {person(crm, number) for number in range(PEOPLE)}
    access = crm.server.org.door.access
    access.used = 89_998  # a share of 90 % is reached between the pages
    with pytest.raises(CrmExhaustedError):
        sync.sync(0)
    assert (sync.committed(), synced(sync)) == ([], set())
    access.used = 0
    sync.reopen()
    sync.sync(0)
    assert (sync.committed(), synced(sync)) == ([window(0)], people)


@pytest.mark.parametrize("late", thorough([timedelta(minutes=5), timedelta(hours=3), timedelta(hours=1)]))
def test_a_late_commit_is_found_and_delivered(
    sync: SyncElsewhere, crm: SalesforceCrm, clock: Clock, late: timedelta
) -> None:
    """By the next window's overlap, or by the audit, which reopens the window that it belongs to."""
    clock.now = window(0).end + timedelta(minutes=3)
    early = {person(crm, number) for number in range(3)}
    values = {"Id": record_id("003", 9), "LastName": "Late", "FirstName": "Ada", "Email": "late@example.org"}
    stamp = window(0).end - timedelta(minutes=2)
    crm.server.org.records.put("Contact", values, at=stamp, visible_at=stamp + late)
    sync.sync(0)
    if late > timedelta(minutes=5):
        assert synced(sync) == early
    clock.now = window(0).end + timedelta(hours=4)
    sync.sync(*range(1, 8))
    audited_and_synced(sync)
    assert synced(sync) == early | {record_id("003", 9)}


def test_two_thousand_records_of_one_timestamp_are_all_there(sync: SyncElsewhere, crm: SalesforceCrm) -> None:
    """As a mass update leaves them; the page of a query holds fewer."""
    people = {person(crm, number) for number in range(2_000)}
    sync.read(0)
    assert set(sync.context.frames.read("normalized_contacts", window(0))["crm_id"]) == people


def test_what_was_deleted_for_good_is_deleted_in_genesys(
    sync: SyncElsewhere, crm: SalesforceCrm, clock: Clock
) -> None:
    people = [person(crm, number) for number in range(12)]
    sync.sync(0)
    assert follow_feed(sync.context) == 0
    clock.now += timedelta(minutes=5)
    crm.server.org.records.purge("Contact", people[:2])
    clock.now += timedelta(minutes=5)
    assert follow_feed(sync.context) == 2
    assert sync.sync(number_of_now(clock)) == {"deleted": 2}
    assert synced(sync) == set(people[2:])


def test_a_merge_in_salesforce_is_a_merge_in_genesys(sync: SyncElsewhere, crm: SalesforceCrm) -> None:
    survivor, loser = person(crm, 1), person(crm, 2)
    sync.sync(0)
    crm.server.org.records.merge("Contact", survivor, [loser], at=moment(1))
    assert sync.sync(1)["merged"] == 1
    [contact] = sync.contacts()
    assert survivor in contact.records


def test_nothing_private_is_logged(
    sync: SyncElsewhere, crm: SalesforceCrm, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(PEOPLE):
        person(crm, number)
    access = crm.server.org.door.access
    for kind in KINDS:
        crm.server.trouble.plan(kind, path="/queryAll")
    crm.server.trouble.plan("token_error")
    with caplog.at_level(logging.INFO):
        sync.sync(0)
    assert len(caplog.records) >= len(KINDS) // 2
    for private in (*access.tokens, CREDENTIALS.client_secret, "p1@example.org", "Last1", "SELECT"):
        assert private not in caplog.text


def test_a_quiet_window_needs_few_requests(sync: SyncElsewhere, crm: SalesforceCrm) -> None:
    """Salesforce counts each for a day: 48 windows of half an hour use 2 % of the smallest limit."""
    person(crm, 1)
    sync.sync(0, 1)
    before = crm.server.org.door.access.used
    sync.sync(2)
    assert crm.server.org.door.access.used - before <= 6
