from contact_sync_tests.simulator.api import Api, Json
from contact_sync_tests.simulator.conftest import ManualClock, Start

PATH = "/contacts/merge"


def create(api: Api, **fields: object) -> str:
    return str(api.ok("POST", "/contacts", fields)["id"])


def merge(api: Api, *ids: str, **override: object) -> Json:
    return api.ok("POST", PATH, {"contactIds": list(ids), "valueOverride": override or None})


def test_the_newest_values_win_and_lost_numbers_find_a_free_field(start: Start, clock: ManualClock) -> None:
    api = start()
    old = create(api, firstName="Old", title="Dr", workPhone={"display": "+17042984700"}, workEmail="a@a.example")
    clock.advance(1)
    new = create(api, firstName="New", workPhone={"display": "+17042984701"}, workEmail="a@a.example")
    merged = merge(api, old, new, lastName="Override")
    assert [merged[name] for name in ("firstName", "title", "lastName")] == ["New", "Dr", "Override"]
    assert [merged[name]["e164"] for name in ("workPhone", "cellPhone")] == ["+17042984701", "+17042984700"]
    assert "personalEmail" not in merged
    identifier = {"type": "Phone", "value": "+17042984700"}
    assert api.ok("POST", "/identifierlookup/contacts", identifier)["id"] == merged["id"]


def test_merged_ids_lead_to_the_canonical_contact(api: Api) -> None:
    first, second, third = (create(api, firstName=name) for name in "ABC")
    middle = merge(api, first, second)
    merged = merge(api, middle["id"], third)
    assert {one["id"] for one in merged["mergeSet"]} == {first, second, third, middle["id"], merged["id"]}
    assert {one["id"] for one in merged["mergedFrom"]} == {middle["id"], third}
    for one in (first, second, third, middle["id"]):
        assert api.ok("GET", f"/contacts/{one}")["canonicalContact"] == {"id": merged["id"]}
    assert api.ok("PUT", f"/contacts/{first}", {"firstName": "Z"})["id"] == merged["id"]
    assert api.stats()["held"]["contacts"] == 1
    assert api.ok("DELETE", f"/contacts/{third}") == {}
    assert api.refused("GET", f"/contacts/{merged['id']}") == (404, "entity.not.found")


def test_what_cannot_be_merged_is_left_alone(start: Start) -> None:
    api = start(division_ids=frozenset({"sales"}), max_identifiers=11)
    one = create(api, firstName="A", division={"id": "sales"})
    other = create(api, firstName="B")
    assert api.refused("POST", PATH, {"contactIds": [one, other]}) == (422, "merge.across.divisions.disallowed")
    assert api.refused("POST", PATH, {"contactIds": [one, one]}) == (422, "validation.failed")
    assert api.refused("POST", PATH, {"contactIds": [one, "unknown"]}) == (404, "entity.not.found")
    assert api.refused("POST", PATH, {"contactIds": "x"}) == (400, "bad.request")
    assert api.refused("POST", PATH, {"contactIds": [one, other], "valueOverride": 7}) == (400, "bad.request")
    assert api.stats()["held"]["contacts"] == 2


def test_too_many_external_ids_cannot_be_merged(api: Api) -> None:
    source = api.source()

    def holder(start: int) -> str:
        ids = [{"externalSource": {"id": source}, "value": str(start + one)} for one in range(6)]
        return create(api, externalIds=ids)

    identifiers = [
        {"type": "ExternalId", "value": value, "externalSource": {"id": source}} for value in ("0", "100")
    ]
    holder(0)
    holder(100)
    body = {"action": "Merge", "matchingIdentifiers": identifiers, "contact": {}}
    assert api.refused("POST", "/contacts/enrich", body) == (409, "too.many.identifiers")
    assert api.stats()["held"]["contacts"] == 2


def test_a_merge_set_is_limited(api: Api) -> None:
    def merged(count: int) -> str:
        return str(merge(api, *(create(api, firstName="A") for _ in range(count)))["id"])

    first, second = merged(25), merged(25)
    api.ok("PUT", f"/contacts/{first}", {"workEmail": "a@a.example"})
    api.ok("PUT", f"/contacts/{second}", {"workEmail": "b@a.example"})
    identifiers = [{"type": "Email", "value": value} for value in ("a@a.example", "b@a.example")]
    body = {"action": "Merge", "matchingIdentifiers": identifiers, "contact": {}}
    assert api.refused("POST", "/contacts/enrich", body) == (409, "mergeset.max.size")
