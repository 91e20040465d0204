"""The lineage from an environment of Dynamics 365 on its bad days: nothing is lost, the watermark stays honest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.server import TwinServer
from contact_sync.steps import pipeline
from contact_sync.steps.gone import follow_feed, reconcile
from contact_sync_tests.scripted import Scripted
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.crms import (
    DynamicsCrm,
    SyncElsewhere,
    audited_and_synced,
    in_small_pages,
    person,
    synced,
)
from contact_sync_tests.steps.world import FREQUENCY, Clock, moment, number_of_now, window
from contact_sync_tests.thorough import thorough

PEOPLE = 450


@pytest.fixture
def crm(clock: Clock) -> Iterator[DynamicsCrm]:
    crm = DynamicsCrm(clock.seconds)
    with crm.server:
        yield crm


@pytest.fixture
def sync(crm: DynamicsCrm, twin: TwinServer, tmp_path: Path, clock: Clock) -> Iterator[SyncElsewhere]:
    with in_small_pages(tmp_path / "home", twin, crm, clock) as opened:
        yield opened


@pytest.mark.parametrize(
    "fault",
    thorough(
        [
            Faults(lost=1, at_most={"lost": 2}),
            Faults(reset=1, at_most={"reset": 2}),
            Faults(throttled=1, at_most={"throttled": 3}),
            Faults(server_error=1, server_error_html=True, at_most={"server_error": 3}),
            Faults(token_revoked=1, at_most={"token_revoked": 1}),
        ],
        ["lost", "reset", "throttled", "html", "token"],
    ),
)
def test_a_page_lost_in_the_middle_of_a_window_loses_nobody(
    sync: SyncElsewhere, crm: DynamicsCrm, fault: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = {person(crm, number, number / 60) for number in range(PEOPLE)}
    changes = sync.context.source.changes

    def disturbed(*asked: object) -> Iterator[object]:
        for number, page in enumerate(changes(*asked)):  # type: ignore[arg-type]
            yield page
            if number == 0:
                crm.server.faults = fault

    monkeypatch.setattr(sync.context.source, "changes", disturbed)
    assert sync.sync(0) == {"created": PEOPLE}
    assert synced(sync) == people
    assert_accounted(sync, 0)


def test_a_page_that_was_left_out_is_missed_by_the_count(sync: SyncElsewhere, crm: DynamicsCrm) -> None:
    people = {person(crm, number, number / 60) for number in range(PEOPLE)}
    crm.server.pages_to_skip = 1
    assert sync.sync(0) == {"created": PEOPLE - 200}
    audited_and_synced(sync)
    assert synced(sync) == people


@pytest.mark.parametrize("kind", thorough(["html", "foreign link", "lost", "no role"]))
def test_an_environment_that_cannot_be_read_leaves_the_window_open_and_a_later_run_catches_up(
    sync: SyncElsewhere, crm: DynamicsCrm, kind: str
) -> None:
    people = {person(crm, number) for number in range(PEOPLE)}
    with Scripted() as elsewhere:
        if kind == "foreign link":
            crm.server.foreign_origin = elsewhere.url
        elif kind == "html":
            crm.server.faults = Faults(server_error=1, server_error_html=True)
        elif kind == "lost":
            crm.server.faults = Faults(lost=1)
        else:
            crm.server.faults = Faults(token_revoked=1)
        with pytest.raises(CrmError) as failed:
            sync.sync(0)
        assert elsewhere.seen == []
    assert isinstance(failed.value, CrmConfigurationError) == (kind in {"foreign link", "no role"})
    assert (sync.committed(), synced(sync)) == ([], set())
    crm.server.faults, crm.server.foreign_origin = Faults(), ""
    sync.sync(0)
    assert (sync.committed(), synced(sync)) == ([window(0)], people)


@pytest.mark.parametrize("late", thorough([timedelta(minutes=5), timedelta(hours=3), timedelta(hours=1)]))
def test_a_late_commit_or_a_row_dated_back_is_found_and_delivered(
    sync: SyncElsewhere, crm: DynamicsCrm, clock: Clock, late: timedelta
) -> None:
    """By the next window's overlap, or by the audit, which reopens the window that it belongs to."""
    clock.now = window(0).end + timedelta(minutes=3)
    early = {person(crm, number) for number in range(3)}
    sync.sync(0)
    clock.now = window(0).end + late
    last = int(late / FREQUENCY.length)
    sync.sync(*range(1, last))
    late_one = person(crm, 9, 28)
    clock.now = window(last + 1).end + timedelta(minutes=3)
    sync.sync(*range(max(1, last), last + 2))
    audited_and_synced(sync)
    assert synced(sync) == {*early, late_one}


def test_two_thousand_contacts_of_one_timestamp_are_all_there(sync: SyncElsewhere, crm: DynamicsCrm) -> None:
    """As a bulk edit leaves them; a page holds fewer."""
    people = {person(crm, number) for number in range(2_000)}
    sync.read(0)
    assert set(sync.context.frames.read("normalized_contacts", window(0))["crm_id"]) == people


@pytest.mark.parametrize("days", [6, 8])
def test_what_was_deleted_for_good_is_deleted_in_genesys_even_after_the_feed_has_expired(
    sync: SyncElsewhere, crm: DynamicsCrm, clock: Clock, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    people = [person(crm, number) for number in range(12)]
    sync.sync(0)
    assert follow_feed(sync.context) == 0
    for one in people[:2]:
        crm.server.table.delete(one)
    clock.now += timedelta(days=days)
    assert follow_feed(sync.context) == 2
    assert ("all keys are compared" in caplog.text) == (days > 7)
    assert follow_feed(sync.context) == 0
    assert sync.sync(number_of_now(clock)) == {"deleted": 2}
    assert synced(sync) == set(people[2:])


def test_without_change_tracking_all_keys_tell_what_was_deleted_for_good(
    sync: SyncElsewhere, crm: DynamicsCrm, clock: Clock
) -> None:
    crm.server.settings = replace(crm.server.settings, change_tracking=False)
    people = [person(crm, number) for number in range(12)]
    assert [one.counts["created"] for one in pipeline.sync(sync.context, [window(0)], "run")] == [12]
    crm.server.table.delete(people[0])
    assert follow_feed(sync.context) == 0
    assert reconcile(sync.context).gone == 1
    assert sync.sync(number_of_now(clock)) == {"deleted": 1}


def test_who_was_deleted_for_good_and_restored_keeps_the_contact(
    sync: SyncElsewhere, crm: DynamicsCrm, clock: Clock
) -> None:
    one = person(crm, 1)
    sync.sync(0)
    follow_feed(sync.context)
    crm.server.table.delete(one)
    assert follow_feed(sync.context) == 1
    person(crm, 1)
    assert "deleted" not in sync.sync(number_of_now(clock))
    assert synced(sync) == {one}


def test_an_inactive_contact_is_deleted_and_comes_back_when_it_is_active_again(
    sync: SyncElsewhere, crm: DynamicsCrm
) -> None:
    one = person(crm, 1)
    sync.sync(0)
    crm.server.table.deactivate(one, moment(1))
    assert sync.sync(1) == {"deleted": 1}
    crm.server.table.activate(one, moment(2))
    assert sync.sync(2) == {"created": 1}


def test_a_merge_in_dynamics_is_a_merge_in_genesys(sync: SyncElsewhere, crm: DynamicsCrm) -> None:
    survivor, loser = person(crm, 1), person(crm, 2)
    sync.sync(0)
    crm.server.table.merge(loser, survivor, moment(1))
    assert sync.sync(1)["merged"] == 1
    [contact] = sync.contacts()
    assert survivor in contact.records


def test_a_quiet_window_needs_few_requests(sync: SyncElsewhere, crm: DynamicsCrm) -> None:
    person(crm, 1)
    sync.sync(0, 1)
    before = len(crm.server.seen)
    sync.sync(2)
    assert len(crm.server.seen) - before <= 6
