import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.fields import ADDRESS, EMAILS, MAX_LENGTH, NAMES, PHONES
from contact_sync.contacts.mapping import TARGETS, Registry
from contact_sync.contacts.normalizing import normalize
from contact_sync.contacts.schemas import CRM_DELTA, NORMALIZED_CONTACTS, check, frame_of, records
from contact_sync_tests.contacts.builders import moment

REGISTRY = Registry.model_validate({"fields": [{"crm": target, "genesys": target} for target in TARGETS]})
GERMAN = REGISTRY.model_copy(update={"default_region": "DE"})


def change(
    crm_id: str = "1", at: float = 0, read: float = 0, kind: str = "upsert", merged_into: str | None = None
) -> dict[str, Any]:
    version = {"crm_id": crm_id, "version": f"v{at}", "modified_at": moment(at), "read_at": moment(read)}
    return {**version, "kind": kind, "merged_into": merged_into}


def raw(**values: str | None) -> dict[str, str | None]:
    return {f"crm.{name.replace('__', '.')}": value for name, value in values.items()}


def delta(*rows: dict[str, Any]) -> pd.DataFrame:
    return check(CRM_DELTA, frame_of(CRM_DELTA, rows, [f"crm.{name}" for name in TARGETS]))


def canonical(**values: str | None) -> dict[str, Any]:
    return canonical_by(GERMAN, **values)


def canonical_by(registry: Registry, **values: str | None) -> dict[str, Any]:
    frame = normalize(delta(change() | raw(**values)), registry)
    check(NORMALIZED_CONTACTS, frame)
    (row,) = records(frame)
    return row


def test_a_record_is_cleaned_into_canonical_fields() -> None:
    row = canonical(
        firstName="  Ana\u00a0\n Maria ",
        lastName="Lo\x00pez\x1f",
        workEmail=" MailTo:<Ana@Example.COM>; ",
        cellPhone="(030) 8517-545",
        account="A-1",
        address__city="Berlin",
        title="   ",
        homePhone=None,
    )
    fields = {name: row[name] for name in (*NAMES, *PHONES, *EMAILS, *ADDRESS) if name in row}
    assert fields == {
        "firstName": "Ana Maria",
        "lastName": "Lopez",
        "workEmail": "ana@example.com",
        "cellPhone": "+49308517545",
        "address.city": "Berlin",
    }
    assert (row["state"], row["account"]) == ("ready", "A-1")
    assert "notes" not in row


@pytest.mark.parametrize("name", [*NAMES, *ADDRESS])
def test_a_text_is_cut_to_the_length_that_genesys_takes(name: str) -> None:
    long = "x" * (MAX_LENGTH[name] - 1) + " y"
    row = canonical(workEmail="a@example.com", **{name.replace(".", "__"): long})
    assert row[name] == "x" * (MAX_LENGTH[name] - 1)
    assert row["notes"] == f"{name} cut to {MAX_LENGTH[name]} characters"
    assert row["state"] == "ready"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("workEmail", "Ana Lopez <ana@secret.example>", "workEmail dropped: it is not an e-mail address"),
        ("workEmail", "ana.secret@localhost", "workEmail dropped: it is not an e-mail address"),
        ("workEmail", "secret", "workEmail dropped: it is not an e-mail address"),
        ("workEmail", "s" * 250 + "@example.com", "workEmail dropped: it is not an e-mail address"),
        ("cellPhone", "secret 0171", "cellPhone dropped: it is not a valid number of DE"),
        ("cellPhone", "0308517545x secret", "cellPhone dropped: it holds letters"),
        ("cellPhone", "0308517545 / 0308517546", "cellPhone dropped: it holds two numbers"),
        ("account", "secret" * 43, "account dropped: it is longer than 255 characters"),
    ],
)
def test_a_value_that_cannot_be_cleaned_is_dropped_with_a_note_and_the_record_goes_on(
    field: str, value: str, why: str
) -> None:
    row = canonical(firstName="Ana", lastName="Lopez", homePhone="030 8517545", **{field: value})
    assert row["state"] == "ready"
    assert field not in row
    assert row["notes"] == why


@pytest.mark.parametrize(
    ("value", "number", "why"),
    [
        ("491709291197", "+491709291197", "its country code stood there without +"),
        ("1709291197", "+491709291197", "its trunk prefix was missing"),
        ("011 49 170 9291197", "+491709291197", "it was written as dialled from another country"),
    ],
)
def test_a_likely_number_is_taken_with_a_note(value: str, number: str, why: str) -> None:
    row = canonical(lastName="Lopez", cellPhone=value)
    assert (row["cellPhone"], row["notes"]) == (number, f"cellPhone repaired: {why}")


def test_each_phone_keeps_how_it_was_read() -> None:
    row = canonical(
        workPhone="+49 30 8517545",
        cellPhone="Mobil: 0170 9291197 x4",
        homePhone="15123456789",
        otherPhone="no secret",
    )
    assert (row["workPhone"], "homePhone" in row, "otherPhone" in row) == ("+49308517545", False, False)
    assert json.loads(row["phone_steps"]) == {
        "cellPhone": {"steps": ["extension", "label", "national", "trunk"], "confidence": "certain"},
        "homePhone": {"steps": [], "alternatives": ["+15123456789", "+4915123456789"]},
    }


def test_a_phone_that_is_clean_needs_no_steps() -> None:
    assert "phone_steps" not in canonical(workPhone="+49308517545")


def test_every_dropped_field_has_its_note() -> None:
    row = canonical(lastName="Lopez", workEmail="?", cellPhone="?", homePhone="?", otherPhone="030 8517545")
    assert [note.split(" ")[0] for note in row["notes"].split("; ")] == ["workEmail", "cellPhone", "homePhone"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"firstName": "Ana"},
        {"lastName": "Lopez"},
        {"firstName": "Ana", "account": "A-1"},
        {"title": "Dr", "account": "A-1"},
        {"lastName": "Lopez", "workEmail": "?", "cellPhone": "?"},
    ],
)
def test_a_record_that_identifies_nobody_is_held(values: dict[str, str]) -> None:
    row = canonical(**values)
    assert (row["state"], row["reason"]) == (
        "held",
        "nothing identifies this person: no usable phone, no e-mail, no full name",
    )


@pytest.mark.parametrize(
    "values",
    [
        {"otherPhone": "030 8517545"},
        {"personalEmail": "ana@example.com"},
        {"firstName": "Ana", "lastName": "Lopez"},
        {"lastName": "Lopez", "account": "A-1"},
    ],
)
def test_a_record_that_identifies_somebody_is_ready(values: dict[str, str]) -> None:
    assert canonical(**values)["state"] == "ready"


def test_the_country_of_the_record_reads_its_phones_before_the_default() -> None:
    assert canonical(region="US", workPhone="212 570 8393")["workPhone"] == "+12125708393"
    assert canonical(region="gb", workPhone="020 7946 0018")["workPhone"] == "+442079460018"
    assert canonical(workPhone="030 8517545")["workPhone"] == "+49308517545"
    assert "its country is missing" in canonical_by(REGISTRY, workPhone="030 8517545")["notes"]


def test_the_country_of_the_account_reads_the_phones_of_a_record_without_one() -> None:
    assert canonical(accountRegion="us", workPhone="212 570 8393")["workPhone"] == "+12125708393"
    row = canonical(region="GB", accountRegion="us", workPhone="020 7946 0018", homePhone="011 49 30 8517545")
    assert (row["workPhone"], row["homePhone"]) == ("+442079460018", "+49308517545")


@pytest.mark.parametrize("named", ["region", "accountRegion"])
def test_a_country_that_is_not_understood_does_not_turn_into_the_default(named: str) -> None:
    row = canonical(**{named: "Austria"}, workPhone="030 8517545", cellPhone="+43 664 1234567")
    assert "workPhone" not in row
    assert row["cellPhone"] == "+436641234567"


@pytest.mark.parametrize(
    ("crm_id", "reason"),
    [("x" * 256, "the CRM id is longer than 255 characters"), (" ", "the record has no CRM id")],
)
def test_a_crm_id_that_is_no_external_id_is_held(crm_id: str, reason: str) -> None:
    frame = normalize(delta(change(crm_id) | raw(workEmail="a@example.com")), GERMAN)
    assert frame["state"].tolist() == ["held"]
    assert frame["reason"].tolist() == [reason]


@pytest.mark.parametrize("kind", ["delete", "merge"])
def test_a_removal_needs_no_fields(kind: str) -> None:
    winner = "2" if kind == "merge" else None
    frame = normalize(delta(change(kind=kind, merged_into=winner) | raw(workEmail="a@example.com")), GERMAN)
    (row,) = records(frame)
    assert (row["kind"], row["state"], row.get("merged_into")) == (kind, "ready", winner)
    assert "workEmail" not in row


def test_only_the_newest_version_of_a_record_counts() -> None:
    mail = raw(workEmail="a@example.com")
    frame = normalize(delta(change(at=2) | mail, change(at=3, kind="delete"), change(at=1) | mail), GERMAN)
    assert frame["version"].tolist() == ["v2", "v3", "v1"]
    assert frame["state"].tolist() == ["superseded", "ready", "superseded"]
    assert set(frame["reason"].dropna()) == {"a newer version is in the same window"}


def test_of_two_versions_at_one_instant_the_one_read_last_counts() -> None:
    early, late = change(at=1, read=1), change(at=1, read=2) | {"version": "a"}
    frame = normalize(delta(late, early), GERMAN)
    assert frame["state"].tolist() == ["held", "superseded"]


def test_an_empty_window_keeps_the_contract() -> None:
    frame = normalize(delta(), GERMAN)
    assert len(check(NORMALIZED_CONTACTS, frame)) == 0


texts = st.none() | st.text(max_size=30) | st.sampled_from(["Ana", "ana@example.com", "030 8517545", "US"])


@settings(deadline=None, max_examples=25)
@given(values=st.lists(st.fixed_dictionaries({f"crm.{name}": texts for name in TARGETS}), max_size=4))
def test_whatever_the_crm_holds_each_row_ends_ready_or_held(values: list[dict[str, str | None]]) -> None:
    frame = normalize(delta(*(change(str(n)) | row for n, row in enumerate(values))), GERMAN)
    check(NORMALIZED_CONTACTS, frame)
    assert frame["crm_id"].tolist() == [str(n) for n in range(len(values))]
    assert set(frame["state"]) <= {"ready", "held"}
    for row in records(frame):
        texts_of_row = [str(value) for name, value in row.items() if name in {*NAMES, *ADDRESS, "account"}]
        assert all(text == " ".join(text.split()) and "\x00" not in text for text in texts_of_row)
