from contact_sync_tests.simulator.api import Api, Json

PATH = "/organizations"


def organization(source: str, value: str, **more: object) -> Json:
    return {"name": "Engines", "externalIds": [{"externalSource": {"id": source}, "value": value}]} | more


def enrichment(source: str, value: str, action: str = "Upsert", **more: object) -> Json:
    identifier = {"type": "ExternalId", "value": value, "externalSource": {"id": source}}
    body = organization(source, value, **more)
    return {"action": action, "matchingIdentifiers": [identifier], "externalOrganization": body}


def test_an_organization_lives_and_dies(api: Api) -> None:
    body = {
        "name": "Engines",
        "phoneNumber": {"display": "+49 30 901820"},
        "employeeCount": 12,
        "tags": ["a", "b"],
        "tickers": [{"symbol": "ENG", "exchange": "LSE"}],
    }
    created = api.ok("POST", PATH, body)
    assert created["phoneNumber"]["e164"] == "+4930901820"
    assert "type" not in created
    path = f"{PATH}/{created['id']}"
    assert api.ok("GET", path) == created
    assert api.ok("PUT", path, {"name": "Difference Engines"})["name"] == "Difference Engines"
    change = {"changes": [{"action": "Update", "field": "$.industry", "value": "Computing"}]}
    assert api.ok("PATCH", path, change)["industry"] == "Computing"
    assert api.ok("DELETE", path) == {}
    assert api.refused("GET", path) == (404, "entity.not.found")


def test_an_organization_has_a_name(api: Api) -> None:
    assert api.refused("POST", PATH, {"industry": "x"}) == (422, "validation.failed")
    created = api.ok("POST", PATH, {"name": "x"})
    assert api.refused("PUT", f"{PATH}/{created['id']}", {"industry": "x"}) == (422, "validation.failed")


def test_enrich_and_lookup_go_by_external_id(api: Api) -> None:
    source = api.source()
    answers = [api.call("POST", f"{PATH}/enrich", enrichment(source, "1", industry=one)) for one in ("a", "b")]
    assert [one.status_code for one in answers] == [201, 200]
    identifier = {"type": "ExternalId", "value": "1", "externalSource": {"id": source}}
    found = api.ok("POST", "/identifierlookup/organizations", identifier)
    assert (found["id"], found["industry"]) == (answers[0].json()["id"], "b")
    update, insert = (enrichment(source, one, action) for one, action in (("2", "Update"), ("1", "Insert")))
    assert api.refused("POST", f"{PATH}/enrich", update) == (404, "matching.externalorg.not.found")
    assert api.refused("POST", f"{PATH}/enrich", insert) == (409, "matching.externalorg.found")
    merge = enrichment(source, "1", "Merge")
    assert api.refused("POST", f"{PATH}/enrich", merge) == (422, "validation.failed")


def test_bulk_and_scan_work_like_those_of_contacts(api: Api) -> None:
    source = api.source()
    entities = [enrichment(source, str(one)) | {"id": f"t{one}"} for one in range(3)]
    answer = api.ok("POST", "/bulk/organizations/enrich", {"entities": entities})
    assert answer["errorCount"] == 0
    ids = [one["entity"]["id"] for one in answer["results"]]
    scanned = api.ok("GET", "/scan/organizations", limit=10)["entities"]
    assert {one["id"] for one in scanned} == set(ids)
    assert api.ok("GET", PATH, q="engines")["total"] == 3
    removal = {"entities": [{"id": one} for one in ids]}
    assert api.ok("POST", "/bulk/organizations/remove", removal)["errorCount"] == 0
    assert api.stats()["held"]["organizations"] == 0


def test_organizations_have_schemas_of_their_own(api: Api) -> None:
    created = api.ok("POST", f"{PATH}/schemas", {"version": 1, "jsonSchema": {"title": "Account"}})
    assert created["appliesTo"] == ["EXTERNAL_ORGANIZATION"]
    assert api.ok("GET", "/contacts/schemas")["total"] == 0
    assert api.ok("GET", f"{PATH}/schemas")["total"] == 1


def test_the_organisation_names_itself(api: Api) -> None:
    me = api.ok("GET", "/api/v2/organizations/me")
    assert me["id"] == api.server.settings.organization_id
