"""Fields that nobody listed: counted by Salesforce, not read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from contact_sync.contacts.window import Window
from contact_sync.crm import salesforce_describe
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.server import SalesforceServer
from contact_sync_tests.crm.salesforce_harness import opened

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(minutes=30))
ALWAYS = {"CreatedDate", "LastModifiedDate"}
VALUES = {
    "LastName": "Lovelace",
    "Nickname__c": "Countess",
    "Tags__c": "vip;partner",
    "HasOptedOutOfEmail": True,
    "Description": "A long story",
    "LeadScore__c": 99.5,
    "MailingCity": "London",
    "MailingAddress": {"city": "London"},
}


@pytest.fixture
def org() -> Iterator[SalesforceServer]:
    with SalesforceServer() as server:
        for number in range(3):
            server.org.records.put("Contact", {"Id": record_id("003", number), **VALUES}, at=NOON)
        server.org.records.put("Contact", {"Id": record_id("003", 3), "LastName": "Hopper"}, at=NOON)
        server.org.records.put("Contact", {"Id": record_id("003", 4), "Fax": "123"}, at=WINDOW.end)
        yield server


@pytest.mark.parametrize("at_once", [50, 2])
def test_each_kind_of_field_is_counted(
    org: SalesforceServer, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Long texts cannot be counted; an address is counted by its parts."""
    monkeypatch.setattr(salesforce_describe, "_FIELDS", at_once)
    with opened(org, ["lastname"]) as source:
        counts = dict(source.unlisted(WINDOW))
        examples = dict(source.examples(WINDOW))
    assert [counts.pop(name) for name in sorted(ALWAYS)] == [4, 4]
    assert counts.pop("Name") == 4
    assert counts == {"Nickname__c": 3, "Tags__c": 3, "HasOptedOutOfEmail": 3, "LeadScore__c": 3, "MailingCity": 3}
    assert set(examples) == {*counts, *ALWAYS, "Name"}
    assert {name: str(examples[name]) for name in ("Tags__c", "LeadScore__c")} == {
        "Tags__c": "vip;partner",
        "LeadScore__c": "99.5",
    }


def test_a_count_reads_no_value_and_describes_once(org: SalesforceServer) -> None:
    with opened(org, ["LastName"]) as source:
        for _ in range(3):
            source.unlisted(WINDOW)
    seen = org.org.door.seen
    assert seen["GET /describe"] == 1
    assert (
        seen["GET /queryAll"] == 3 * 4
    )  # the aggregates, whether any of the others has a value, and each of those
    assert seen["GET /queryAll/more"] == 0


def test_accounts_that_changed_count_their_contacts_too(org: SalesforceServer) -> None:
    records, account = org.org.records, record_id("001", 1)
    records.put("Account", {"Id": account, "Name": "New"}, at=WINDOW.end - timedelta(minutes=1))
    before = WINDOW.start - timedelta(days=1)
    records.put("Contact", {"Id": record_id("003", 9), "AccountId": account, "Nickname__c": "Bob"}, at=before)
    with opened(org, ["LastName"], account_changes=True) as source:
        assert source.unlisted(WINDOW)["Nickname__c"] == 4
