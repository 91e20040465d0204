"""All contacts of Genesys as last seen: scanned page by page, interrupted, gone on with, merged and dropped."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contact_sync.genesys import scan
from contact_sync.genesys.errors import GenesysRowError
from contact_sync.simulator.merging import merge
from contact_sync.steps import mirror
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_watermark import CrashError
from contact_sync_tests.steps.world import moment

Row = dict[str, Any]


def stranger(sync: Sync, number: int, **fields: object) -> str:
    """Put a contact into the twin that the sync did not make; return its id."""
    body = {"firstName": f"Stranger{number}", "lastName": "Smith", "workEmail": f"S{number}@example.org"} | fields
    contact_id, _ = sync.twin.store.contacts.create(body)
    return contact_id


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page hold ten contacts."""
    monkeypatch.setattr(scan, "PAGE_SIZE", 10)


def mirrored(sync: Sync) -> dict[str, Row]:
    return {row["contact"]: row for row in sync.table("genesys_mirror")}


def recognised(sync: Sync, contact: str) -> set[tuple[str, str]]:
    rows = sync.table("mirror_identifier")
    return {(row["rule"], row["value"]) for row in rows if row["contact"] == contact}


def interrupted(sync: Sync, after: int) -> None:
    """Scan, and die after so many pages."""

    def crash(pages: int, _contacts: int) -> None:
        if pages == after:
            raise CrashError

    with pytest.raises(CrashError):
        mirror.mirror(sync.context, crash)


@pytest.mark.usefixtures("pages")
def test_every_contact_is_held_whoever_made_it(sync: Sync) -> None:
    ids = {stranger(sync, number) for number in range(23)}
    sync.crm.people(4, moment(0))
    sync.sync(0)
    done = sync.mirror()
    assert (done.contacts, done.pages, done.held, done.gone, done.missing) == (27, 3, 27, 0, 0)
    assert mirrored(sync).keys() == ids | sync.records().keys()
    assert sync.table("mirror_scan") == []


def test_what_is_held_of_a_contact(sync: Sync) -> None:
    source = sync.context.genesys.ensure_external_source("someone else")
    one = stranger(
        sync,
        1,
        workPhone={"display": "+4930123456"},
        externalIds=[{"externalSource": {"id": source}, "value": "x"}],
    )
    sync.crm.people(1, moment(0))
    sync.sync(0)
    sync.mirror()
    row = mirrored(sync)[one]
    assert row["fields"] == {
        "firstName": "Stranger1",
        "lastName": "Smith",
        "workEmail": "S1@example.org",
        "workPhone": "+4930123456",
    }
    assert row["external_ids"] == [[f"@{source}", "x"]]
    assert recognised(sync, one) == {("email", "s1@example.org"), ("phone", "+4930123456")}
    ours = sync.contact("p0").id
    assert ("record", "crm\x1fp0") in recognised(sync, ours)
    assert ["crm", "p0"] in mirrored(sync)[ours]["external_ids"]


@pytest.mark.usefixtures("pages")
def test_a_scan_goes_on_where_it_was_interrupted(sync: Sync) -> None:
    for number in range(35):
        stranger(sync, number)
    interrupted(sync, after=2)
    assert len(mirrored(sync)) == 20
    sync.later(hours=23)
    done = sync.mirror()
    assert (done.contacts, done.pages, done.resumed) == (35, 4, 2)
    assert done.requests == 3  # two pages, and the external sources
    assert len(mirrored(sync)) == 35


@pytest.mark.usefixtures("pages")
def test_a_scan_that_was_read_to_the_end_is_only_finished(sync: Sync) -> None:
    for number in range(15):
        stranger(sync, number)
    interrupted(sync, after=2)
    done = sync.mirror()
    assert (done.contacts, done.pages, done.resumed, done.requests) == (15, 2, 2, 1)


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize("forgotten", ["old", "refused"])
def test_a_cursor_that_is_old_or_refused_begins_anew(sync: Sync, forgotten: str) -> None:
    ids = [stranger(sync, number) for number in range(25)]
    interrupted(sync, after=1)
    sync.twin.store.contacts.delete(ids[0])
    if forgotten == "old":
        sync.later(hours=25)
    else:
        under_way = sync.context.store.scan_under_way()
        assert under_way
        sync.context.store.mirror_page([], [], replace(under_way, cursor="not one of Genesys'"))
    done = sync.mirror()
    assert (done.contacts, done.pages, done.resumed, done.gone) == (24, 3, 0, 1)
    assert mirrored(sync).keys() == set(ids[1:])


def test_a_refusal_without_a_cursor_is_no_reason_to_begin_anew(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE_SIZE", 201)
    with pytest.raises(GenesysRowError, match="400"):
        sync.mirror()


def test_what_is_gone_is_dropped_and_what_records_are_linked_to_is_missing(sync: Sync) -> None:
    gone = stranger(sync, 1)
    sync.crm.people(2, moment(0))
    sync.sync(0)
    sync.mirror()
    for one in (gone, sync.contact("p0").id):
        sync.twin.store.contacts.delete(one)
    done = sync.mirror()
    assert (done.contacts, done.gone, done.missing, done.held) == (1, 1, 1, 2)
    assert gone not in mirrored(sync)
    sync.crm.put("p0", moment(1), job_title="Dr")
    sync.sync(1)
    assert sync.contact("p0").fields["title"] == "Dr"
    assert sync.mirror().missing == 0


def test_what_we_wrote_since_the_scan_began_stays_whatever_its_pages_say(sync: Sync) -> None:
    sync.crm.people(1, moment(0))

    def deliver_meanwhile(_pages: int, _contacts: int) -> None:
        sync.sync(0)

    done = mirror.mirror(sync.context, deliver_meanwhile)  # the page was empty
    assert (done.contacts, done.gone, done.held) == (0, 0, 1)
    assert mirrored(sync).keys() == sync.records().keys()


def test_a_page_that_was_asked_for_before_a_write_does_not_undo_it(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.crm.people(1, moment(0))
    sync.sync(0)

    def late(*args: Any) -> Any:  # noqa: ANN401 -- whatever it takes and gives
        page = scan.read_page(*args)
        sync.crm.put("p0", moment(1), job_title="Dr", email="new@example.org")
        sync.sync(1)
        return page

    monkeypatch.setattr(mirror, "read_page", late)
    sync.mirror()
    one = sync.contact("p0").id
    assert mirrored(sync)[one]["fields"]["title"] == "Dr"
    assert ("email", "new@example.org") in recognised(sync, one)


def test_a_merge_in_genesys_is_followed_by_links_and_mirror(sync: Sync) -> None:
    sync.crm.people(2, moment(0))
    sync.sync(0)
    other = stranger(sync, 1)
    sync.mirror()
    old = sync.contact("p0").id
    new, _ = merge(sync.twin.store.contacts, [old, other])
    done = sync.mirror()
    assert (done.merged, done.gone, done.missing) == (2, 0, 0)
    assert mirrored(sync).keys() == {new, sync.contact("p1").id}
    assert {row["contact"] for row in sync.table("contact_link") if row["crm_id"] == "p0"} == {new}
    assert sync.mirror().merged == 0
    sync.crm.put("p0", moment(1), job_title="Dr")
    assert sync.sync(1) == {"updated": 1}
    assert sync.contact("p0").id == new


def test_what_too_many_share_is_counted(sync: Sync) -> None:
    for number in range(4):
        stranger(sync, number, workPhone={"display": "+4930123456"}, homePhone={"display": f"+493012345{number}"})
    assert sync.mirror().shared == {"phone": 1}


def test_a_scan_costs_a_request_a_page_and_writes_nothing(sync: Sync) -> None:
    stranger(sync, 1)
    assert sync.writes(sync.mirror) == 0
    assert sync.mirror().requests == 2
    assert sync.mirror().seconds < timedelta(minutes=1).total_seconds()
