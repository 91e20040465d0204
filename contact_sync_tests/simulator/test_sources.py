from contact_sync_tests.simulator.api import Api
from contact_sync_tests.simulator.conftest import Start

PATH = "/externalsources"


def test_a_source_lives_and_dies(api: Api) -> None:
    link = {"uriTemplate": "https://crm.example.com/{{externalId.value}}"}
    created = api.ok("POST", PATH, {"name": " crm ", "linkConfiguration": link})
    assert (created["name"], created["active"], created["linkConfiguration"]) == ("crm", True, link)
    path = f"{PATH}/{created['id']}"
    assert api.ok("GET", path) == created
    assert api.ok("PUT", path, {"name": "crm", "active": False})["active"] is False
    assert api.ok("DELETE", path) == {}
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert api.refused(method, path, body) == (404, "entity.not.found")


def test_names_are_unique(api: Api) -> None:
    api.source("one")
    two = api.source("two")
    assert api.refused("POST", PATH, {"name": "one"}) == (409, "external.source.exists")
    assert api.refused("PUT", f"{PATH}/{two}", {"name": "one"}) == (409, "external.source.exists")


def test_what_is_wrong_with_a_source(api: Api) -> None:
    for body in ({}, {"name": "x" * 201}, {"name": "x", "linkConfiguration": {"uriTemplate": "x" * 401}}):
        assert api.refused("POST", PATH, body) == (422, "validation.failed")
    assert api.refused("POST", PATH, {"name": "x", "colour": "red"}) == (400, "invalid.property")


def test_limits_are_settings(start: Start) -> None:
    api = start(max_active_external_sources=1, max_external_sources=2)
    api.source("one")
    assert api.refused("POST", PATH, {"name": "two"}) == (409, "active.external.source.limit.reached")
    api.ok("POST", PATH, {"name": "two", "active": False})
    assert api.refused("POST", PATH, {"name": "three"}) == (409, "max.external.source.limit.reached")


def test_listing_filters_and_pages(api: Api) -> None:
    for number in range(12):
        api.ok("POST", PATH, {"name": f"crm {number}", "active": number != 3})
    api.source("other crm")
    first = api.ok("GET", PATH, limit=10, name="crm")
    rest = api.ok("GET", PATH, limit=10, name="crm", cursor=first["cursors"]["after"])
    assert "cursors" not in rest
    found = [one["name"] for one in first["entities"] + rest["entities"]]
    assert found == [f"crm {number}" for number in range(12)]
    assert [one["name"] for one in api.ok("GET", PATH, active="false")["entities"]] == ["crm 3"]
    assert len(api.ok("GET", PATH, active="true")["entities"]) == 12


def test_contacts_outlive_their_source(api: Api) -> None:
    source = api.source()
    held = [{"externalSource": {"id": source}, "value": "1"}]
    contact = api.ok("POST", "/contacts", {"externalIds": held})
    api.ok("DELETE", f"{PATH}/{source}")
    assert api.ok("GET", f"/contacts/{contact['id']}", expand="externalSources")["externalIds"] == held
