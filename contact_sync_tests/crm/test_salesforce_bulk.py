"""Large results come by query jobs: complete, streamed, and cleaned up after."""

import logging
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from contact_sync.contacts.window import Window
from contact_sync.crm import salesforce_bulk
from contact_sync.crm.salesforce import SalesforceSource
from contact_sync.crm.salesforce_rows import rows_of_csv
from contact_sync.crm.source import Change, CrmConfigurationError, CrmUnavailableError
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.trouble import Kind
from contact_sync_tests.crm.salesforce_harness import opened

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(days=1))
FIELDS = ["LastName", "Account.Name", "Email", "LeadScore__c", "HasOptedOutOfEmail", "Department"]
ODD = ['a "quoted" name', "two\nlines", "comma, and ; semicolon", "ünïcødé 👩‍🚀", "\\back", "cr\r\nlf", None]


@pytest.fixture
def org() -> Iterator[SalesforceServer]:
    with SalesforceServer(OrgSettings(clock=(WINDOW.end + timedelta(days=1)).timestamp)) as server:
        yield server


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_bulk, "RESULT_ROWS", 100)


@pytest.fixture
def source(org: SalesforceServer, small_pages: None) -> Iterator[SalesforceSource]:  # noqa: ARG001 -- a fixture
    with opened(org, FIELDS, page_size=70, bulk_above=50) as source:
        yield source


def fill(org: SalesforceServer, count: int) -> None:
    records = org.org.records
    records.put("Account", {"Id": record_id("001", 1), "Name": 'The "A", & Co'}, at=NOON)
    for number in range(count):
        values = {
            "Id": record_id("003", number),
            "LastName": f"Lovelace {number}",
            "Department": ODD[number % len(ODD)],
            "AccountId": record_id("001", 1) if number % 2 else None,
            "LeadScore__c": 1.5 if number % 3 else None,
            "HasOptedOutOfEmail": number % 5 == 0,
        }
        records.put("Contact", values, at=NOON + number * timedelta(seconds=1))
    if count:
        records.merge("Contact", record_id("003", 0), [record_id("003", 1)], at=NOON + timedelta(hours=1))
        records.delete("Contact", [record_id("003", 2)], at=NOON + timedelta(hours=1))


def read(source: SalesforceSource) -> list[Change]:
    return list(chain.from_iterable(source.changes(WINDOW)))


def test_a_job_gives_what_pages_of_json_give(
    org: SalesforceServer, source: SalesforceSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(org, 350)
    with caplog.at_level(logging.INFO):
        by_job = read(source)
    with opened(org, FIELDS) as other:
        by_pages = read(other)

    def shown(changes: list[Change]) -> list[tuple[str, str, str, str | None, dict[str, str | None]]]:
        return sorted(
            (
                one.crm_id,
                one.version,
                one.kind,
                one.merged_into,
                {name: None if value is None else str(value) for name, value in one.fields.items()},
            )
            for one in changes
        )

    assert shown(by_job) == shown(by_pages)
    assert {change.fields["Department"] for change in by_job} == set(ODD)
    assert org.org.door.seen["GET /results"] == 4
    assert org.org.door.seen["DELETE /job"] == 1
    assert len(org.org.jobs) == 0
    said = [record.getMessage() for record in caplog.records]
    assert "350 rows are more than crm.salesforce.bulk_above: a query job reads them" in said
    assert "Salesforce's query job is under way: 175 rows so far" in said
    assert "350 rows of Salesforce's query job are read" in said


def test_pages_are_no_larger_than_asked_for(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 350)
    assert max(map(len, source.changes(WINDOW))) == 70


def test_few_rows_need_no_job(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 50)
    assert len(read(source)) == 50
    assert org.org.door.seen["POST /jobs"] == 0


def test_the_living_come_by_a_job_too(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 120)
    living = list(chain.from_iterable(source.living()))
    assert sorted(living) == sorted(record_id("003", number) for number in range(120) if number not in {1, 2})
    assert org.org.door.seen["POST /jobs"] == 1


def test_nobody_at_all(org: SalesforceServer) -> None:
    with opened(org, FIELDS, bulk_above=0) as source:
        assert read(source) == []


@pytest.mark.parametrize("kind", ["lost", "reset", "html", "maintenance", "throttled", "expired"])
def test_a_page_of_results_that_is_lost_is_read_again(
    org: SalesforceServer, source: SalesforceSource, kind: Kind
) -> None:
    fill(org, 350)
    org.trouble.plan(kind, after=1, path="/results")
    assert len({change.crm_id for change in read(source)}) == 350
    assert org.trouble.hits[kind] == 1


def test_results_that_lack_a_page_are_no_results(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 350)
    org.trouble.plan("page_skipped", after=1, path="/results")
    with pytest.raises(CrmUnavailableError, match="promised 350 rows and gave 250"):
        read(source)
    assert len(org.org.jobs) == 0


def test_a_job_that_fails_is_told_and_deleted(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 350)
    org.trouble.plan("job_failed")
    with pytest.raises(CrmUnavailableError, match="a query job of Salesforce ended as Failed") as failed:
        read(source)
    assert failed.value.__context__ is None
    assert len(org.org.jobs) == 0


def test_a_job_is_deleted_when_reading_stops_midway(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 350)
    pages = source.changes(WINDOW)
    next(iter(pages))
    assert len(org.org.jobs) == 1
    pages.close()  # type: ignore[attr-defined]
    assert len(org.org.jobs) == 0


def test_a_job_is_deleted_even_when_the_day_is_used_up(org: SalesforceServer, source: SalesforceSource) -> None:
    fill(org, 350)
    pages = source.changes(WINDOW)
    next(iter(pages))
    org.org.door.access.used = int(org.org.settings.daily_requests * 0.95)
    with pytest.raises(CrmUnavailableError, match="API requests of the day"):
        list(pages)
    assert len(org.org.jobs) == 0


def test_a_job_whose_deletion_was_not_answered_is_deleted_all_the_same(
    org: SalesforceServer, source: SalesforceSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(org, 350)
    pages = source.changes(WINDOW)
    next(iter(pages))
    org.trouble.plan("lost", after=3, path="/jobs/query/")  # three pages of results, and then the deletion
    list(pages)
    assert (org.trouble.hits["lost"], len(org.org.jobs)) == (1, 0)
    assert org.org.door.seen["DELETE /job"] == 2
    assert "a query job stays" not in caplog.text


def test_a_job_that_cannot_be_deleted_is_told_and_no_failure(
    org: SalesforceServer, source: SalesforceSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(org, 350)
    pages = source.changes(WINDOW)
    found = [*next(iter(pages))]
    org.trouble.plan("forbidden", after=3, times=1_000)
    found += chain.from_iterable(pages)
    assert len(found) == 350
    assert "a query job stays with Salesforce" in caplog.text


def test_a_job_that_takes_too_long_is_given_up(org: SalesforceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(org, 350)
    monkeypatch.setattr(salesforce_bulk, "PATIENCE", -1.0)
    with (
        opened(org, FIELDS, bulk_above=50) as source,
        pytest.raises(CrmUnavailableError, match="was not complete"),
    ):
        read(source)
    assert len(org.org.jobs) == 0


def test_nul_bytes_are_dropped_and_a_cut_line_is_told() -> None:
    [row] = rows_of_csv(b'"Id","LastName"\n"1","Love\0lace"\n', ["Id", "LastName"])
    assert row == {"Id": "1", "LastName": "Lovelace"}
    with pytest.raises(CrmUnavailableError, match="cut off"):
        list(rows_of_csv(b'"Id","LastName"\n"1"\n', ["Id", "LastName"]))
    with pytest.raises(CrmUnavailableError, match="without the column Email"):
        list(rows_of_csv(b'"Id","LastName"\n', ["Id", "Email"]))
    assert list(rows_of_csv(b'"id"\n', ["Id"])) == list(rows_of_csv(b"", ["Id"])) == []


def test_the_memory_of_a_job_is_that_of_a_page(org: SalesforceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many rows need no more memory; the twin in the same process is measured before it is read."""
    monkeypatch.setattr(salesforce_bulk, "RESULT_ROWS", 500)

    def peak() -> int:
        with opened(org, FIELDS, bulk_above=50, page_size=200) as source:
            pages = source.changes(WINDOW)
            next(iter(pages))
            tracemalloc.start()
            for _ in pages:
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

    fill(org, 4_000)
    peak()  # what is allocated once
    few = peak()
    fill(org, 12_000)
    assert peak() < few * 1.3


def test_a_compound_field_is_told_by_the_first_page(org: SalesforceServer) -> None:
    fill(org, 3)
    org.org.records.put("Contact", {"Id": record_id("003", 0), "MailingAddress": {"city": "Ulm"}}, at=NOON)
    with opened(org, ["MailingAddress"]) as source, pytest.raises(CrmConfigurationError, match="compound"):
        read(source)
