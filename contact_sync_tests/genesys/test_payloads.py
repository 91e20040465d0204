import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.contacts.fields import PHONES
from contact_sync.genesys.payloads import FIELDS, ExternalId, Upsert, canonical, enrich_item, external_ids

RECORD = ExternalId("source-1", "003A")
KEY = ExternalId("source-2", "acme|+4930123456|9f2c")

texts = st.text(min_size=1, max_size=20)
numbers = st.from_regex(r"\+[1-9][0-9]{6,14}(;ext=[1-9][0-9]{0,5})?", fullmatch=True)
contacts = st.fixed_dictionaries(
    {}, optional={name: numbers if name in PHONES else texts for name in sorted(FIELDS)}
)


def test_an_item_upserts_on_every_external_id_and_stores_them() -> None:
    item = enrich_item(Upsert("t-1", (RECORD, KEY), {"firstName": "Ada", "address.city": "London"}))
    ids = [
        {"externalSource": {"id": "source-1"}, "value": "003A"},
        {"externalSource": {"id": "source-2"}, "value": "acme|+4930123456|9f2c"},
    ]
    assert item == {
        "id": "t-1",
        "action": "Upsert",
        "matchingIdentifiers": [{"type": "ExternalId", **one} for one in ids],
        "contact": {"firstName": "Ada", "address": {"city": "London"}, "externalIds": ids},
        "fieldRules": {"defaultAction": "PreferProvided", "rules": []},
    }


def test_a_cleared_field_is_left_out_and_its_rule_erases() -> None:
    item = enrich_item(Upsert("t-1", (RECORD,), {"lastName": "L"}, ("workPhone", "address.city")))
    assert item["fieldRules"] == {
        "defaultAction": "PreferProvided",
        "rules": [
            {"field": "$.workPhone", "action": "AlwaysUseProvided"},
            {"field": "$.address.city", "action": "AlwaysUseProvided"},
        ],
    }


@pytest.mark.parametrize(
    ("number", "phone"),
    [
        ("+4930123456", {"display": "+4930123456"}),
        ("+4930123456;ext=12", {"display": "+4930123456", "extension": 12}),
        ("+4930123456;ext=reception", {"display": "+4930123456;ext=reception"}),
    ],
)
def test_an_extension_travels_as_a_number(number: str, phone: dict[str, object]) -> None:
    item = json.loads(json.dumps(enrich_item(Upsert("t-1", (RECORD,), {"workPhone": number}))))
    assert item["contact"]["workPhone"] == phone


@given(contacts)
def test_a_contact_comes_back_as_it_was_sent(contact: dict[str, str]) -> None:
    item = json.loads(json.dumps(enrich_item(Upsert("t-1", (RECORD, KEY), contact))))
    assert canonical(item["contact"]) == contact
    assert external_ids(item["contact"]) == (RECORD, KEY)


def test_the_number_of_a_stored_phone_is_its_e164_form() -> None:
    stored = {"cellPhone": {"display": "+49 151 12345678", "e164": "+4915112345678", "userInput": "0151"}}
    assert canonical(stored) == {"cellPhone": "+4915112345678"}


@pytest.mark.parametrize(
    "entity",
    [
        {},
        {"firstName": None, "address": None, "workPhone": None},
        {"firstName": 7, "address": [], "workPhone": "x"},
    ],
)
def test_an_entity_without_usable_fields_is_an_empty_contact(entity: dict[str, object]) -> None:
    assert canonical(entity) == {}


@pytest.mark.parametrize("stored", [None, "x", [None, {}, {"value": "v"}, {"externalSource": {"id": "s"}}]])
def test_malformed_external_ids_are_passed_over(stored: object) -> None:
    assert external_ids({"externalIds": stored}) == ()


@pytest.mark.parametrize("ids", [(), (RECORD,) * 11])
def test_an_upsert_that_could_create_twice_is_refused(ids: tuple[ExternalId, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 10 external ids"):
        Upsert("t-1", ids, {})


def test_unknown_fields_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"faxPhone, shoeSize$"):
        Upsert("t-1", (RECORD,), {"shoeSize": "44"}, ("faxPhone",))


def test_a_field_cannot_be_given_and_cleared() -> None:
    with pytest.raises(ValueError, match=r"both given and cleared: title$"):
        Upsert("t-1", (RECORD,), {"title": "Dr."}, ("title",))


def test_no_person_shows_in_a_repr() -> None:
    shown = repr(Upsert("t-1", (KEY,), {"firstName": "Ada", "workPhone": "+4930123456"}, matching=(KEY,)))
    assert "Ada" not in shown
    assert "+49" not in shown
    assert get_type_hints(Upsert).keys() == {
        *("tracker", "external_ids", "contact", "clear", "matching", "release", "merge", "only_filled", "schema")
    }


def test_a_contact_is_found_by_ids_that_it_will_not_carry() -> None:
    item: Any = enrich_item(Upsert("t-1", (RECORD,), {}, matching=(KEY, RECORD)))
    assert [one["value"] for one in item["matchingIdentifiers"]] == [KEY.value, RECORD.value]
    assert [one["value"] for one in item["contact"]["externalIds"]] == [RECORD.value]


def test_releasing_replaces_the_external_ids() -> None:
    rule = {"field": "$.externalIds", "action": "AlwaysUseProvided", "arrayAction": "Replace"}
    releasing: Any = enrich_item(Upsert("t-1", (RECORD,), {}, release=True))
    keeping: Any = enrich_item(Upsert("t-1", (RECORD,), {}))
    assert releasing["fieldRules"]["rules"] == [rule]
    assert keeping["fieldRules"]["rules"] == []
