"""What the lines of a registry make of records: custom fields, organisations, phones that share a field."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_sync.contacts.columns import cleaned, read_column
from contact_sync.contacts.fields import MAX_LENGTH
from contact_sync.contacts.mapping import FieldRule, Registry
from contact_sync.contacts.normalizing import normalize
from contact_sync.contacts.redaction import KINDS, Redactor
from contact_sync.contacts.schemas import CRM_DELTA, NORMALIZED_CONTACTS, check, frame_of, records
from contact_sync.contacts.values import RefusedValueError, clean, email, text_of
from contact_sync_tests.contacts.test_normalizing import change

MAIL = {"crm": "email", "genesys": "workEmail"}
CARD = "4111 1111 1111 1111"


def custom(type_: str, **rules: Any) -> dict[str, Any]:  # noqa: ANN401 -- rules of any type
    return {"crm": "value", "genesys": "customFields.x", "type": type_, **rules}


def frame(lines: list[dict[str, Any]], *rows: Mapping[str, str | None], **registry: object) -> pd.DataFrame:
    wanted = Registry.model_validate({"fields": lines, **registry})
    changes = (
        change(str(place)) | {f"crm.{crm}": value for crm, value in row.items()} for place, row in enumerate(rows)
    )
    delta = frame_of(CRM_DELTA, changes, [f"crm.{crm}" for crm in wanted.crm_fields])
    return check(NORMALIZED_CONTACTS, normalize(check(CRM_DELTA, delta), wanted))


def row(lines: list[dict[str, Any]], **values: str | None) -> dict[str, Any]:
    (found,) = records(frame([MAIL, *lines], {"email": "a@example.com", **values}))
    return found


def test_a_custom_field_is_named_by_its_key() -> None:
    assert row([custom("integer")], value="42.0")["customFields.x_integer"] == "42"
    assert "customFields.x_integer" not in row([custom("integer")], value=None)


def test_a_record_that_genesys_would_refuse_is_held_with_the_field_named() -> None:
    found = row([custom("integer"), custom("date") | {"genesys": "customFields.y"}], value="secret")
    assert (found["state"], found["reason"]) == (
        "held",
        "customFields.x: it is not a whole number; customFields.y: it is not a date as in 2026-01-31",
    )


def test_a_value_may_be_dropped_instead() -> None:
    found = row([custom("integer", invalid="drop")], value="secret")
    assert (found["state"], found["notes"]) == ("ready", "customFields.x dropped: it is not a whole number")
    assert "customFields.x_integer" not in found


def test_what_is_cut_or_blotted_out_is_told() -> None:
    found = row(
        [custom("longtext", free_text=True, max_length=30)], value=f"<p>his card {CARD} is lost for good</p>"
    )
    assert found["customFields.x_longtext"] == "his card [redacted] is lost fo"
    assert found["notes"] == (
        "customFields.x: a payment card number redacted; customFields.x HTML removed; "
        "customFields.x cut to 30 characters"
    )


def test_markup_hides_nothing() -> None:
    found = row([custom("text")], value="4111<b> 1111</b> 1111 1111")
    assert found["customFields.x_text"] == "[redacted]"


@pytest.mark.parametrize("target", ["title", "address.address1", "firstName"])
def test_ordinary_texts_are_looked_at_too(target: str) -> None:
    assert row([{"crm": "value", "genesys": target}], value=f"x {CARD}")[target] == "x [redacted]"
    assert row([{"crm": "value", "genesys": target, "redact": False}], value=f"x {CARD}")[target] == f"x {CARD}"


def test_what_is_looked_for_is_a_setting() -> None:
    lines, values = [MAIL, custom("text")], {"email": "a@example.com", "value": f"S-1234 {CARD}"}
    own = frame(lines, values, redact=[], redact_patterns={"staff number": r"S-\d{4}"})
    assert own["customFields.x_text"].tolist() == [f"[redacted] {CARD}"]
    assert own["notes"].tolist() == ["customFields.x: a staff number redacted"]


def test_transforms_come_first_and_in_order() -> None:
    line = {
        "crm": "value",
        "genesys": "title",
        "transform": ["strip_html", "first_line", "upper"],
        "max_length": 4,
    }
    found = row([line], value="<p>boss &amp; co</p><p>secret</p>")
    assert (found["title"], found["notes"]) == ("BOSS", "title cut to 4 characters")


def test_the_organisation_is_the_account_with_its_name() -> None:
    lines = [{"crm": "id", "genesys": "account"}, {"crm": "name", "genesys": "externalOrganization"}]
    found = row(lines, id=" A-1 ", name="Müller\n& Sons")
    assert json.loads(found["externalOrganization"]) == ["A-1", "Müller & Sons"]
    assert "externalOrganization" not in row(lines, id="A-1", name=" ")
    assert "externalOrganization" not in row(lines, id=None, name="Müller")


def test_a_crm_field_may_fill_two_and_one_that_is_not_read_fills_none() -> None:
    found = row([custom("text"), {"crm": "value", "genesys": "title"}], value="Dr")
    assert (found["title"], found["customFields.x_text"]) == ("Dr", "Dr")


PHONES = [
    {"crm": "phone", "genesys": "workPhone"},
    {"crm": "mobile", "genesys": "cellPhone"},
    {"crm": "desk", "genesys": "workPhone"},
    {"crm": "fax", "genesys": "workPhone"},
    {"crm": "car", "genesys": "cellPhone"},
]
A, B, C, D, E = (f"+4930851754{number}" for number in range(5))


@pytest.mark.parametrize(
    ("values", "phones", "notes"),
    [
        ({"phone": A, "mobile": B}, {"workPhone": A, "cellPhone": B}, None),
        ({"desk": A}, {"workPhone": A}, None),
        ({"phone": "none", "desk": A}, {"workPhone": A}, ["workPhone dropped"]),
        ({"phone": A, "desk": A, "fax": A}, {"workPhone": A}, None),
        ({"phone": A, "desk": B}, {"workPhone": A, "cellPhone": B}, None),
        ({"phone": A, "desk": "none"}, {"workPhone": A}, ["workPhone (desk) dropped"]),
        (
            {"phone": A, "mobile": B, "desk": C, "fax": D, "car": E},
            {"workPhone": A, "cellPhone": B, "homePhone": C, "otherPhone": D},
            ["cellPhone (car) left out: the four phones are taken"],
        ),
    ],
)
def test_several_crm_fields_may_fill_a_phone(
    values: dict[str, str], phones: dict[str, str], notes: list[str] | None
) -> None:
    found = row(PHONES, **values)
    assert {name: number for name, number in found.items() if name.endswith("Phone")} == phones
    told = found["notes"].split("; ") if "notes" in found else []
    assert [note.startswith(start) for note, start in zip(told, notes or [], strict=True)] == [True] * len(told)


def test_how_a_number_was_read_is_told_where_it_went() -> None:
    lines = [*PHONES, {"crm": "country", "genesys": "region"}]
    found = row(lines, phone=A, desk="030 8517541", country="DE")
    assert found["cellPhone"] == B
    assert json.loads(found["phone_steps"]) == {
        "cellPhone": {"steps": ["national", "trunk"], "confidence": "certain"}
    }


def test_rows_keep_their_own_values_whatever_stands_between_them() -> None:
    rows: list[dict[str, str | None]] = [
        {"email": f"p{number}@example.com", "value": str(number) if number % 3 else None} for number in range(50)
    ]
    found = frame([MAIL, custom("integer")], *rows)
    assert found["workEmail"].tolist() == [one["email"] for one in rows]
    assert [None if pd.isna(one) else one for one in found["customFields.x_integer"]] == [
        one["value"] for one in rows
    ]


UNUSUAL = st.text(alphabet="aZ9 @.<>;:+-_\t\n\x00\u00a0\u2028\u200b\u212aéß", max_size=12)
ADDRESSES = st.from_regex(r"\A[ a-zA-Z0-9.<;]{1,6}@[a-z-]{1,4}\.[a-z.]{2,4}[> ]?\Z")


@given(texts=st.lists(UNUSUAL | ADDRESSES | st.text(max_size=5), max_size=8))
@settings(deadline=None)
@pytest.mark.parametrize("target", ["workEmail", "title", "address.postalCode"])
def test_a_column_is_read_as_its_texts_are_one_by_one(target: str, texts: list[str]) -> None:
    def alone(text: str) -> str | None:
        try:
            return (email(text) if target == "workEmail" else text_of(MAX_LENGTH[target])(text)).text or None
        except RefusedValueError:
            return None

    rule = FieldRule.model_validate({"crm": "x", "genesys": target})
    column = read_column(rule, pa.array(texts, pa.string()), Redactor(KINDS, {}))
    assert column.values.to_pylist() == [alone(text) for text in texts]
    assert cleaned(pa.array([*texts, None], pa.string())).to_pylist() == [
        *(clean(text) or None for text in texts),
        None,
    ]
