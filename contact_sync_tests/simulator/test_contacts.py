import pytest

from contact_sync_tests.simulator.api import Api, Json
from contact_sync_tests.simulator.conftest import ManualClock, Start

FULL = {
    "firstName": "  Ada ",
    "lastName": "Lovelace",
    "workEmail": "Ada@Example.com",
    "workPhone": {"display": "(704) 298-4733", "extension": 12, "acceptsSMS": True},
    "address": {"address1": "1 Analytical St", "city": "London", "countryCode": "GB"},
    "twitterId": {"screenName": "@ada"},
    "whatsAppId": {"phoneNumber": {"display": "447911123456"}, "displayName": "Ada"},
    "lineId": {"ids": [{"userId": "line-1"}]},
    "appleOpaqueIds": [{"value": "apple-1"}],
    "surveyOptOut": True,
    "externalSystemUrl": "https://crm.example.com/ada",
}


def test_a_created_contact_can_be_read_back(start: Start, clock: ManualClock) -> None:
    api = start()
    created = api.ok("POST", "/contacts", FULL)
    assert api.ok("GET", f"/contacts/{created['id']}") == created
    assert (created["firstName"], created["type"], created["division"]) == ("Ada", "Curated", {"id": "*"})
    assert created["createDate"] == created["modifyDate"] == "2026-05-28T20:26:40.000Z"
    assert created["selfUri"] == f"/api/v2/externalcontacts/contacts/{created['id']}"
    clock.advance(1)
    changed = api.ok("PUT", f"/contacts/{created['id']}", {"firstName": "Ada"})
    assert changed["createDate"] == created["createDate"] < changed["modifyDate"]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ({"display": "(704) 298-4733"}, ("+1 704-298-4733", "+17042984733", "US")),
        (
            {"display": "020 7946 0958", "normalizationCountryCode": "GB"},
            ("+44 20 7946 0958", "+442079460958", "GB"),
        ),
        (
            {"display": "020 7946 0958", "normalizationCountryCode": "44"},
            ("+44 20 7946 0958", "+442079460958", "GB"),
        ),
        ({"display": "+49 30 901820"}, ("+49 30 901820", "+4930901820", "DE")),
        ({"display": "ask for Ada"}, ("ask for Ada", None, None)),
        ({"display": "123"}, ("123", None, None)),
        ({"display": "298-4733"}, ("298-4733", None, None)),
        ({"display": "0800 1", "normalizationCountryCode": "ZZ"}, ("0800 1", None, None)),
    ],
)
def test_a_phone_is_rewritten(api: Api, written: Json, stored: tuple[str, str | None, str | None]) -> None:
    phone = api.ok("POST", "/contacts", {"homePhone": written})["homePhone"]
    assert (phone["display"], phone.get("e164"), phone.get("countryCode")) == stored
    assert phone["userInput"] == written["display"]


def test_what_genesys_sets_itself_is_ignored_when_written(api: Api) -> None:
    created = api.ok("POST", "/contacts", {"firstName": "A", "id": "mine", "type": "Ephemeral", "selfUri": "x"})
    assert created["id"] != "mine"
    assert created["type"] == "Curated"
    assert "e164" not in api.ok("POST", "/contacts", {"workPhone": {"display": "x", "e164": "+1"}})["workPhone"]


@pytest.mark.parametrize(
    "body",
    [
        {"workEmail": "not an address"},
        {"workEmail": f"{'a' * 250}@example.com"},
        {"firstName": "x" * 1001},
        {"firstName": 7},
        {"address": {"city": "x" * 101}},
        {"address": "London"},
        {"surveyOptOut": "yes"},
        {"workPhone": {"display": "x" * 513}},
        {"workPhone": {"display": "1", "extension": True}},
        {"externalSystemUrl": "ftp://example.com"},
        {"externalSystemUrl": "http://[broken"},
        {"twitterId": {"screenName": "a b"}},
        {"lineId": {"displayName": "no ids"}},
        {"whatsAppId": {"phoneNumber": {"display": "nonsense"}}},
        {"appleOpaqueIds": [{"value": str(number)} for number in range(11)]},
        {"externalIds": {"value": "x"}},
        {"externalIds": [{"value": "no source"}]},
        {"externalIds": [{"value": "x", "externalSource": {"id": "unknown"}}]},
    ],
)
def test_a_field_that_breaks_its_rule_is_422_and_named(api: Api, body: Json) -> None:
    response = api.call("POST", "/contacts", body)
    answer = response.json()
    assert (response.status_code, answer["code"]) == (422, "validation.failed")
    assert answer["details"][0]["fieldName"] == next(iter(body))
    assert answer["contextId"] == response.headers["ININ-Correlation-Id"]
    assert len(api.server.store.contacts) == 0


def test_limits_are_reached_before_they_are_broken(api: Api) -> None:
    body = {"firstName": "x" * 1000, "address": {"city": "y" * 100}, "title": "", "middleName": None}
    created = api.ok("POST", "/contacts", body)
    assert not {"title", "middleName"} & created.keys()


def test_unknown_properties_and_divisions_are_400(api: Api, start: Start) -> None:
    assert api.refused("POST", "/contacts", {"phoneNumbers": []}) == (400, "invalid.property")
    body = {"division": {"id": "sales"}}
    assert api.refused("POST", "/contacts", body) == (400, "invalid.division.id")
    divided = start(division_ids=frozenset({"sales"}))
    assert divided.ok("POST", "/contacts", body)["division"] == {"id": "sales"}


def test_a_contact_stays_in_its_division(start: Start) -> None:
    api = start(division_ids=frozenset({"sales", "service"}))
    created = api.ok("POST", "/contacts", {"division": {"id": "sales"}})
    changed = api.ok("PUT", f"/contacts/{created['id']}", {"division": {"id": "service"}})
    assert changed["division"] == {"id": "sales"}


def test_unreadable_bodies_are_refused(start: Start) -> None:
    api = start(max_body_bytes=100)
    url = f"{api.server.base_url}/api/v2/externalcontacts/contacts"
    json_type = {"Content-Type": "application/json"}
    answers = [
        api.session.post(url, data="{", headers=json_type, timeout=5),
        api.session.post(url, data="[]", headers=json_type, timeout=5),
        api.session.post(url, data="<a/>", headers={"Content-Type": "text/xml"}, timeout=5),
        api.session.post(url, json={"firstName": "x" * 100}, timeout=5),
        api.session.post(url, json={"firstName": "half a pair: \ud83d"}, timeout=5),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 415, 413, 400]
    assert api.ok("POST", "/contacts", {"firstName": "Zoë \U0001f600"})["firstName"] == "Zoë \U0001f600"


def test_unknown_contacts_are_404(api: Api) -> None:
    for method, body in (("GET", None), ("PUT", {}), ("PATCH", {"changes": []}), ("DELETE", None)):
        assert api.refused(method, "/contacts/unknown", body) == (404, "entity.not.found")
    assert len(api.server.store.contacts) == 0


def test_delete_answers_an_empty_object(api: Api) -> None:
    created = api.ok("POST", "/contacts", FULL)
    assert api.ok("DELETE", f"/contacts/{created['id']}") == {}
    assert api.refused("GET", f"/contacts/{created['id']}") == (404, "entity.not.found")


@pytest.mark.parametrize("keeps", [False, True])
def test_put_replaces_unless_told_otherwise(start: Start, keeps: bool) -> None:  # noqa: FBT001 -- a parameter
    api = start(put_keeps_omitted=keeps)
    created = api.ok("POST", "/contacts", FULL)
    changed = api.ok("PUT", f"/contacts/{created['id']}", {"lastName": "Byron"})
    assert changed["lastName"] == "Byron"
    assert ("firstName" in changed) is keeps


def test_what_a_contact_reads_as_can_be_put_back(api: Api) -> None:
    created = api.ok("POST", "/contacts", FULL)
    changed = api.ok("PUT", f"/contacts/{created['id']}", created)
    assert changed["workPhone"]["e164"] == created["workPhone"]["e164"]
    created["workPhone"]["userInput"] = changed["workPhone"]["userInput"]
    created["whatsAppId"]["phoneNumber"]["userInput"] = changed["whatsAppId"]["phoneNumber"]["userInput"]
    assert changed | {"modifyDate": ""} == created | {"modifyDate": ""}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"action": "Update", "field": "$.title", "value": "Countess"}, {"title": "Countess"}),
        ({"action": "Update", "field": "$.address.city", "value": "Bath"}, {"address": {"city": "Bath"}}),
        ({"action": "UpdateIfEmpty", "field": "$.firstName", "value": "No"}, {"firstName": "Ada"}),
        ({"action": "UpdateIfEmpty", "field": "$.title", "value": "Yes"}, {"title": "Yes"}),
        ({"action": "UpdateIfExists", "field": "$.firstName", "value": "Eve"}, {"firstName": "Eve"}),
        ({"action": "UpdateIfExists", "field": "$.title", "value": "No"}, {"title": None}),
        ({"action": "Remove", "field": "$.firstName"}, {"firstName": None}),
        (
            {"action": "AppendToCollection", "field": "$.appleOpaqueIds", "value": [{"value": "two"}]},
            {"appleOpaqueIds": [{"value": "one"}, {"value": "two"}]},
        ),
        (
            {"action": "RemoveFromCollection", "field": "$.appleOpaqueIds", "value": {"value": "one"}},
            {"appleOpaqueIds": None},
        ),
    ],
)
def test_patch_actions(api: Api, change: Json, expected: Json) -> None:
    created = api.ok("POST", "/contacts", {"firstName": "Ada", "appleOpaqueIds": [{"value": "one"}]})
    changed = api.ok("PATCH", f"/contacts/{created['id']}", {"changes": [change]})
    assert {name: changed.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ([{"action": "Update", "field": "title"}], 422),
        ([{"action": "Update", "field": "$.unknown"}], 422),
        ([{"action": "Explode", "field": "$.title"}], 422),
        ([{"action": "Update", "field": "$.workEmail", "value": "bad"}], 422),
        (["title"], 422),
        ([{"action": "Remove", "field": "$.address"}, {"action": "Remove", "field": "$.address.city"}], 409),
    ],
)
def test_a_patch_that_makes_no_sense_changes_nothing(api: Api, changes: list[object], status: int) -> None:
    created = api.ok("POST", "/contacts", FULL)
    assert api.call("PATCH", f"/contacts/{created['id']}", {"changes": changes}).status_code == status
    assert api.ok("GET", f"/contacts/{created['id']}") == created


def test_expand_shows_more(api: Api) -> None:
    source = api.source()
    organization = api.ok("POST", "/organizations", {"name": "Analytical Engines"})["id"]
    external_id = {"externalSource": {"id": source}, "value": "crm-1"}
    body = {"externalIds": [external_id], "externalOrganization": {"id": organization}, "workEmail": "A@b.example"}
    created = api.ok("POST", "/contacts", body)
    assert created["externalOrganization"] == {"id": organization}
    path = f"/contacts/{created['id']}"
    shown = api.ok("GET", path, expand="identifiers,externalSources,externalOrganization,division")
    assert {one["type"]: one["value"] for one in shown["identifiers"]} == {
        "ExternalId": "crm-1",
        "Email": "a@b.example",
    }
    assert shown["externalIds"][0]["externalSource"]["name"] == "crm"
    assert shown["externalOrganization"]["name"] == "Analytical Engines"
    assert shown["division"]["name"] == "Home"


def test_the_unconfirmed_readings_of_post_are_settings(start: Start) -> None:
    api = start(post_keeps_caller_id=True, post_refuses_taken_external_id=True, require_name=True)
    named = {"firstName": "A", "lastName": "B"}
    assert api.refused("POST", "/contacts", {"firstName": "A"}) == (422, "validation.failed")
    guid = "0f0e0d0c-0b0a-0908-0706-050403020100"
    assert api.ok("POST", "/contacts", named | {"id": guid})["id"] == guid
    assert api.ok("POST", "/contacts", named | {"id": guid})["id"] != guid
    taken = named | {"externalIds": [{"externalSource": {"id": api.source()}, "value": "1"}]}
    api.ok("POST", "/contacts", taken)
    assert api.refused("POST", "/contacts", taken) == (409, "request.conflict")


def test_only_observed_contacts_can_be_promoted(api: Api) -> None:
    contacts = api.server.store.contacts
    observed, record = contacts.create({"firstName": "Seen"})
    contacts.store.put(observed, record | {"type": "Identified"})
    assert api.ok("POST", f"/contacts/{observed}/promotion")["type"] == "Curated"
    assert api.refused("POST", f"/contacts/{observed}/promotion") == (400, "promotion.of.curated.contact.failed")
