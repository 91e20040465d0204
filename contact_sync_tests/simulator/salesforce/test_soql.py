"""What the twin takes for SOQL, and what a query finds."""

from datetime import UTC, datetime, timedelta

import pytest

from contact_sync.simulator.salesforce.errors import ApiError
from contact_sync.simulator.salesforce.records import Records, record_id, with_checksum
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.soql import as_json, find

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
ACCOUNT = record_id("001", 1)
ADA, GRACE, NOBODY = (record_id("003", number) for number in (1, 2, 3))


@pytest.fixture
def records() -> Records:
    records = Records(OrgSettings(clock=(NOON + timedelta(hours=2)).timestamp))
    records.put("Account", {"Id": ACCOUNT, "Name": "Engines"}, at=NOON)
    ada = {"FirstName": "Ada", "LastName": "Lovelace", "AccountId": ACCOUNT, "LeadScore__c": 7.0, "Tags__c": "vip"}
    records.put("Contact", {"Id": ADA, **ada}, at=NOON)
    records.put("Contact", {"Id": GRACE, "LastName": "O'Hopper"}, at=NOON + timedelta(seconds=1, milliseconds=900))
    records.put("Contact", {"Id": NOBODY, "LastName": "Gone"}, at=NOON)
    records.delete("Contact", [NOBODY], at=NOON + timedelta(minutes=1))
    return records


def ids(records: Records, where: str, *, deleted: bool = False) -> list[str]:
    found = find(f"SELECT Id FROM Contact WHERE {where} ORDER BY Id", records, deleted=deleted)  # noqa: S608 -- a test's
    return [str(row["Id"]) for row in found.rows]


def refusal(records: Records, text: str) -> str:
    with pytest.raises(ApiError) as refused:
        find(text, records, deleted=False, hidden=frozenset({"Contact.Email"}))
    assert refused.value.status == 400
    return refused.value.code


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("LastName = 'LOVELACE'", [ADA]),
        ("LastName = 'O\\'Hopper'", [GRACE]),
        ("LastName != 'Lovelace'", [GRACE]),
        ("LastName IN ('Lovelace', 'x')", [ADA]),
        ("LastName NOT IN ('Lovelace')", [GRACE]),
        ("FirstName = NULL", [GRACE]),
        ("FirstName != null", [ADA]),
        ("LeadScore__c >= 7", [ADA]),
        ("Account.Name = 'engines'", [ADA]),
        ("Account.Name = NULL", [GRACE]),
        (f"Id > '{ADA}'", [GRACE]),
        (f"Id = '{ADA[:15]}'", [ADA]),
        (f"Id IN ('{ADA}', '{GRACE}')", [ADA, GRACE]),
        ("SystemModstamp >= 2026-06-15T12:00:01Z", [GRACE]),
        ("SystemModstamp < 2026-06-15T14:00:01.000+02:00", [ADA]),
        ("SystemModstamp = 2026-06-15T12:00:01.000Z", [GRACE]),
        ("(LastName = 'Lovelace' OR LastName = 'O\\'Hopper') AND FirstName = 'Ada'", [ADA]),
        ("NOT FirstName = 'Ada'", [GRACE]),
        ("HasOptedOutOfEmail = FALSE", [ADA, GRACE]),
        ("Tags__c != NULL", [ADA]),
    ],
)
def test_conditions(records: Records, where: str, expected: list[str]) -> None:
    assert ids(records, where) == expected


def test_the_recycle_bin_is_looked_at_only_if_asked(records: Records) -> None:
    assert ids(records, "IsDeleted = TRUE") == []
    assert ids(records, "IsDeleted = TRUE", deleted=True) == [NOBODY]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Id FROM Contact WHERE LastName = 'a' AND FirstName = 'b' OR FirstName = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'a", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = 'a\nb'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE LastName = '\\x'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact; DELETE", "MALFORMED_QUERY"),
        ("SELECT Id Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact LIMIT 1 LIMIT 2", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Id IN ()", "MALFORMED_QUERY"),
        ("SELECT Id, COUNT(Id) FROM Contact", "MALFORMED_QUERY"),
        ("SELECT COUNT(Tags__c) FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Colour FROM Contact", "INVALID_FIELD"),
        ("SELECT Email FROM Contact", "INVALID_FIELD"),
        ("SELECT Owner.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Description != NULL", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-06-15T12:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Birthdate > 2026-06-15T12:00:00Z", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE LastName = 7", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id = 'no id'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Person", "INVALID_TYPE"),
    ],
)
def test_what_is_no_query(records: Records, text: str, code: str) -> None:
    assert refusal(records, text) == code


def test_counts(records: Records) -> None:
    assert find("SELECT COUNT() FROM Contact", records, deleted=True).count == 3
    found = find("SELECT COUNT(Id), COUNT(FirstName), COUNT(Account.Name) FROM Contact", records, deleted=False)
    assert found.counts == [2, 1, 1]


def test_order_and_limit(records: Records) -> None:
    found = find("SELECT Id FROM Contact ORDER BY SystemModstamp DESC, Id LIMIT 1", records, deleted=False)
    assert [row["Id"] for row in found.rows] == [GRACE]


def test_a_row_as_json(records: Records) -> None:
    found = find("SELECT id, account.name, SystemModstamp, Name FROM contact ORDER BY Id", records, deleted=False)
    first, second = (as_json(found, row, "62.0") for row in found.rows)
    assert first["attributes"] == {"type": "Contact", "url": f"/services/data/v62.0/sobjects/Contact/{ADA}"}
    assert (first["Id"], first["Account"]["Name"], first["Name"]) == (ADA, "Engines", "Ada Lovelace")
    assert second["Account"] is None
    assert second["SystemModstamp"] == "2026-06-15T12:00:01.000+0000"  # whole seconds


def test_ids_carry_a_checksum_of_their_case() -> None:
    assert (
        with_checksum("001A0000006Vm9u") == "001A0000006Vm9uIAC"
    )  # the example of Salesforce's own documentation
