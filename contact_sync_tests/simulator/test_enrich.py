import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_sync.simulator.combining import FieldRules
from contact_sync.simulator.kinds import CONTACT
from contact_sync_tests.simulator.api import Api, Json


def external_id(source: str, value: str) -> Json:
    return {"externalSource": {"id": source}, "value": value}


def request(source: str, value: str, contact: Json, action: str = "Upsert", **more: object) -> Json:
    identifier = {"type": "ExternalId", **external_id(source, value)}
    held = {"externalIds": [external_id(source, value)]} | contact
    return {"action": action, "matchingIdentifiers": [identifier], "contact": held, **more}


def test_upsert_creates_once_and_updates_ever_after(api: Api) -> None:
    source = api.source()
    created = api.call("POST", "/contacts/enrich", request(source, "1", {"firstName": "Ada", "title": "Miss"}))
    updated = api.call("POST", "/contacts/enrich", request(source, "1", {"firstName": "Augusta"}))
    assert (created.status_code, updated.status_code) == (201, 200)
    assert created.json()["id"] == updated.json()["id"]
    assert (updated.json()["firstName"], updated.json()["title"]) == ("Augusta", "Miss")
    assert updated.json()["externalIds"] == [external_id(source, "1")]
    assert len(api.server.store.contacts) == 1


def test_update_needs_a_match_and_insert_refuses_one(api: Api) -> None:
    source = api.source()
    update, insert = (request(source, "1", {}, action) for action in ("Update", "Insert"))
    assert api.refused("POST", "/contacts/enrich", update) == (404, "matching.contact.not.found")
    assert api.call("POST", "/contacts/enrich", insert).status_code == 201
    assert api.refused("POST", "/contacts/enrich", insert) == (409, "matching.contact.found")
    assert api.call("POST", "/contacts/enrich", update).status_code == 200


def test_the_first_identifier_that_matches_decides(api: Api) -> None:
    source = api.source()
    by_id = api.ok("POST", "/contacts/enrich", request(source, "1", {"firstName": "Id"}))["id"]
    by_mail = api.ok("POST", "/contacts", {"workEmail": "a@a.example"})["id"]
    wanted = [
        {"type": "ExternalId", **external_id(source, "unknown")},
        {"type": "Email", "value": "A@A.example"},
        {"type": "ExternalId", **external_id(source, "1")},
    ]
    for identifiers, expected in ((wanted, by_mail), (wanted[::-1], by_id)):
        body = {"action": "Update", "matchingIdentifiers": identifiers, "contact": {"lastName": "X"}}
        assert api.ok("POST", "/contacts/enrich", body)["id"] == expected


def test_twenty_five_identifiers_may_be_tried(api: Api) -> None:
    body = request(api.source(), "1", {"firstName": "A"})
    body["matchingIdentifiers"] = [{"type": "Email", "value": f"{number}@a.example"} for number in range(25)]
    assert api.call("POST", "/contacts/enrich", body).status_code == 201


def test_a_match_claims_only_what_the_contact_carries(api: Api) -> None:
    source = api.source()
    body = request(source, "1", {"externalIds": [], "firstName": "A"})
    assert [api.call("POST", "/contacts/enrich", body).status_code for _ in range(2)] == [201, 201]


def test_merge_makes_one_contact_of_all_that_match(api: Api) -> None:
    source = api.source()
    first = api.ok("POST", "/contacts/enrich", request(source, "1", {"firstName": "Ada"}))["id"]
    second = api.ok("POST", "/contacts", {"workEmail": "a@a.example", "title": "Countess"})["id"]
    body = request(source, "1", {"lastName": "Byron"}, "Merge")
    body["matchingIdentifiers"].append({"type": "Email", "value": "a@a.example"})
    merged = api.ok("POST", "/contacts/enrich", body)
    assert merged["id"] not in {first, second}
    assert [merged[name] for name in ("firstName", "lastName", "title")] == ["Ada", "Byron", "Countess"]
    assert {api.ok("GET", f"/contacts/{one}")["id"] for one in (first, second)} == {merged["id"]}


def test_a_dry_run_tells_and_changes_nothing(api: Api) -> None:
    source = api.source()
    before = api.stats()["writes"]
    created = api.call("POST", "/contacts/enrich", request(source, "1", {"firstName": "A"}), dryRun="true")
    assert (created.status_code, len(api.server.store.contacts)) == (201, 0)
    contact = api.ok("POST", "/contacts/enrich", request(source, "1", {"firstName": "A"}))
    told = api.ok("POST", "/contacts/enrich", request(source, "1", {"firstName": "B"}), dryRun="true")
    assert told["firstName"] == "B"
    assert api.ok("GET", f"/contacts/{contact['id']}") == contact
    assert api.stats()["writes"] == before + 1


def test_a_dry_run_of_a_merge_shows_the_merged_contact_and_merges_nothing(api: Api) -> None:
    source = api.source()
    first = api.ok("POST", "/contacts/enrich", request(source, "1", {"firstName": "Ada"}))["id"]
    second = api.ok("POST", "/contacts", {"workEmail": "a@a.example", "title": "Countess"})["id"]
    third = api.ok("POST", "/contacts", {"workEmail": "a@a.example"})["id"]
    body = request(source, "1", {"lastName": "Byron"}, "Merge")
    body["matchingIdentifiers"].append({"type": "Email", "value": "a@a.example"})
    before = json.dumps(api.server.store.contacts.dump())
    told = api.ok("POST", "/contacts/enrich", body, dryRun="true")
    assert told["id"] not in {first, second, third}
    assert [told[name] for name in ("firstName", "lastName", "title")] == ["Ada", "Byron", "Countess"]
    assert json.dumps(api.server.store.contacts.dump()) == before
    assert [one["id"] for one in api.ok("GET", "/contacts")["entities"]] == [first, second, third]
    assert api.refused("GET", f"/contacts/{told['id']}") == (404, "entity.not.found")


@pytest.mark.parametrize("action", ["Update", "Insert"])
def test_a_dry_run_is_refused_as_the_real_one_would_be(api: Api, action: str) -> None:
    source = api.source()
    if action == "Insert":
        api.ok("POST", "/contacts/enrich", request(source, "1", {}))
    before = json.dumps(api.server.store.contacts.dump())
    answers = [
        api.refused("POST", "/contacts/enrich", request(source, "1", {}, action), dryRun=dry)
        for dry in ("true", "false")
    ]
    assert answers[0] == answers[1]
    assert json.dumps(api.server.store.contacts.dump()) == before


def test_promote_makes_a_match_curated(api: Api) -> None:
    source, contacts = api.source(), api.server.store.contacts
    contact_id = api.ok("POST", "/contacts/enrich", request(source, "1", {}))["id"]
    contacts.store.put(contact_id, contacts.fetch(contact_id)[1] | {"type": "Identified"})
    assert api.ok("POST", "/contacts/enrich", request(source, "1", {}))["type"] == "Identified"
    promoting = request(source, "1", {}, options={"promote": True})
    assert api.ok("POST", "/contacts/enrich", promoting)["type"] == "Curated"


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "Replace"},
        {"matchingIdentifiers": []},
        {"matchingIdentifiers": [{"type": "Email", "value": f"{n}@a.example"} for n in range(26)]},
        {"matchingIdentifiers": [{"type": "Nonsense", "value": "1"}]},
        {"contact": {"workEmail": "bad"}},
        {"contact": "Ada"},
        {"fieldRules": {"defaultAction": "Guess"}},
        {"fieldRules": {"rules": [{"field": "firstName", "action": "PreferExisting"}]}},
        {"fieldRules": {"rules": [{"field": "$.nonsense", "action": "PreferExisting"}]}},
    ],
)
def test_requests_that_make_no_sense_are_422(api: Api, changes: Json) -> None:
    body = request(api.source(), "1", {"firstName": "A"}) | changes
    assert api.refused("POST", "/contacts/enrich", body) == (422, "validation.failed")
    assert len(api.server.store.contacts) == 0


def combined(old: Json, new: Json, **rules: Any) -> Json:  # noqa: ANN401 -- rules of any shape
    return FieldRules.read(rules, CONTACT).combined(old, new, CONTACT)


OLD = {"firstName": "Old", "title": "Dr", "address": {"city": "Bath", "state": "SOM"}}
NEW = {"firstName": "New", "lastName": "N", "address": {"city": "Hull"}}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (None, {"firstName": "New", "lastName": "N", "title": "Dr", "address": {"city": "Hull", "state": "SOM"}}),
        ("AlwaysUseProvided", NEW),
        (
            "PreferExisting",
            {"firstName": "Old", "lastName": "N", "title": "Dr", "address": {"city": "Bath", "state": "SOM"}},
        ),
    ],
)
def test_default_actions(action: str | None, expected: Json) -> None:
    assert combined(OLD, NEW, defaultAction=action) == expected


def test_a_rule_holds_for_its_field_and_its_members() -> None:
    rules = [
        {"field": "$.title", "action": "AlwaysUseProvided"},
        {"field": "$.address", "action": "PreferExisting"},
        {"field": "$.address.state", "action": "AlwaysUseProvided"},
    ]
    assert combined(OLD, NEW, rules=rules) == {"firstName": "New", "lastName": "N", "address": {"city": "Bath"}}


def test_a_phone_is_replaced_as_a_whole() -> None:
    old, new = {"workPhone": {"display": "1", "extension": 7}}, {"workPhone": {"display": "2"}}
    assert combined(old, new) == new


A, B = [{"value": "a"}], [{"value": "b"}]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, A + B),
        ({"defaultArrayAction": "Replace"}, B),
        ({"defaultArrayAction": "Extend"}, A + B),
        ({"defaultArrayAction": "Replace", "defaultAction": "PreferExisting"}, A),
        ({"rules": [{"field": "$.appleOpaqueIds", "arrayAction": "Replace"}]}, B),
    ],
)
def test_array_actions(rules: Json, expected: list[Json]) -> None:
    assert combined({"appleOpaqueIds": A}, {"appleOpaqueIds": B}, **rules) == {"appleOpaqueIds": expected}


def test_fill_stops_at_the_limit_where_extend_is_refused(api: Api) -> None:
    source = api.source()
    ids = [external_id(source, str(number)) for number in range(9)]
    api.ok("POST", "/contacts/enrich", request(source, "0", {"externalIds": ids}))
    more = {"externalIds": [external_id(source, one) for one in ("0", "a", "b")]}
    extend = request(source, "0", more, fieldRules={"defaultArrayAction": "Extend"})
    assert api.refused("POST", "/contacts/enrich", extend) == (422, "validation.failed")
    filled = api.ok("POST", "/contacts/enrich", request(source, "0", more))
    assert filled["externalIds"] == [*ids, external_id(source, "a")]


NAMES = st.sampled_from(["firstName", "lastName", "title"])
RECORDS = st.dictionaries(NAMES, st.sampled_from(["a", "b"]))


@given(RECORDS, RECORDS)
def test_preferring_one_side_is_the_mirror_of_preferring_the_other(old: Json, new: Json) -> None:
    assert combined(old, new) == combined(new, old, defaultAction="PreferExisting") == old | new


@given(RECORDS, RECORDS, st.sampled_from(["PreferProvided", "PreferExisting", "AlwaysUseProvided"]))
def test_enriching_twice_is_enriching_once(old: Json, new: Json, action: str) -> None:
    once = combined(old, new, defaultAction=action)
    assert combined(once, new, defaultAction=action) == once
