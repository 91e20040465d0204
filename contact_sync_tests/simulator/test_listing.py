import base64
from itertools import chain
from typing import Any

import pytest

from contact_sync.simulator.faults import Faults
from contact_sync_tests.simulator.api import Api
from contact_sync_tests.simulator.conftest import ManualClock, Start


def add(api: Api, *names: str, **more: object) -> list[str]:
    return [api.server.store.contacts.create({"firstName": name} | more)[0] for name in names]


def scanned(api: Api, limit: int, **query: Any) -> list[list[str]]:  # noqa: ANN401 -- query values
    """Return the ids of each page of a whole scan."""
    pages: list[list[str]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = api.ok("GET", "/scan/contacts", limit=limit, **query, **cursor)
        pages.append([one["id"] for one in page["entities"]])
        if "cursors" not in page:
            return pages
        cursor = {"cursor": page["cursors"]["after"]}


def test_a_scan_reaches_every_contact_once(api: Api) -> None:
    ids = add(api, *(f"N{number}" for number in range(35)))
    pages = scanned(api, 10)
    assert [len(page) for page in pages] == [10, 10, 10, 5]
    assert list(chain(*pages)) == ids


def test_an_empty_twin_scans_as_one_empty_page(api: Api) -> None:
    assert scanned(api, 10) == [[]]


def test_pages_may_be_short_or_empty_before_the_end(api: Api) -> None:
    ids = add(api, *(f"N{number}" for number in range(30)))
    for one in ids[5:20]:
        api.server.store.contacts.delete(one)
    assert [len(page) for page in scanned(api, 10)] == [5, 0, 10]


def test_a_scan_sees_what_is_created_meanwhile(api: Api) -> None:
    add(api, *(f"N{number}" for number in range(11)))
    cursor = api.ok("GET", "/scan/contacts", limit=10)["cursors"]["after"]
    late = add(api, "late")
    rest = api.ok("GET", "/scan/contacts", limit=10, cursor=cursor)
    assert [one["id"] for one in rest["entities"]][1:] == late


def test_a_scan_keeps_to_a_division(start: Start) -> None:
    api = start(division_ids=frozenset({"sales"}))
    sales = add(api, "A", division={"id": "sales"})
    everywhere = add(api, "B")
    assert scanned(api, 10, divisionId="sales") == [sales]
    assert scanned(api, 10, divisionId="*") == [sales + everywhere]


@pytest.mark.parametrize("limit", [9, 201, "many"])
def test_scan_limits(api: Api, limit: object) -> None:
    assert api.call("GET", "/scan/contacts", limit=limit).status_code == 400


def test_a_cursor_dies_after_a_day(start: Start, clock: ManualClock) -> None:
    api = start(token_seconds=172_800)
    add(api, *(f"N{number}" for number in range(11)))
    cursor = api.ok("GET", "/scan/contacts", limit=10)["cursors"]["after"]
    clock.advance(24 * 3600)
    assert api.call("GET", "/scan/contacts", cursor=cursor).status_code == 200
    clock.advance(1)
    assert api.refused("GET", "/scan/contacts", cursor=cursor) == (422, "unprocessable.entity")


@pytest.mark.parametrize("content", [b"not json", b"[1]", b'["scan/ExternalOrganization", 0, 1e12]', b"7"])
def test_a_foreign_cursor_is_refused(api: Api, content: bytes) -> None:
    for cursor in (base64.urlsafe_b64encode(content).decode(), "*"):
        assert api.refused("GET", "/scan/contacts", cursor=cursor) == (422, "unprocessable.entity")


def test_observed_contacts_are_found_nowhere_but_by_id(api: Api) -> None:
    contacts = api.server.store.contacts
    observed, record = contacts.create({"firstName": "Seen", "workEmail": "seen@a.example"})
    contacts.store.put(observed, record | {"type": "Ephemeral"})
    assert scanned(api, 10) == [[]]
    assert api.ok("GET", "/contacts", q="Seen")["entities"] == []
    assert api.ok("GET", "/contacts")["entities"] == []
    assert api.ok("GET", "/reversewhitepageslookup", lookupVal="seen@a.example")["contacts"] == []
    assert api.ok("GET", f"/contacts/{observed}")["type"] == "Ephemeral"


def names(api: Api, **query: Any) -> list[str]:  # noqa: ANN401 -- query values
    return [one["firstName"] for one in api.ok("GET", "/contacts", **query)["entities"]]


def test_search_finds_every_word_in_values_only(api: Api) -> None:
    add(api, "Ada", lastName="Lovelace", workPhone={"display": "+17042984733"})
    add(api, "Adam", workEmail="quoted@a.example")
    assert names(api, q="ada") == ["Ada", "Adam"]
    assert names(api, q="ADA love") == ["Ada"]
    assert names(api, q="+17042984733") == ["Ada"]
    assert names(api, q="quoted") == ["Adam"]
    assert names(api, q="workEmail") == []
    assert names(api, q='a"b') == []


def test_search_pages_and_sorts(api: Api) -> None:
    add(api, "b", "a", "c")
    page = api.ok("GET", "/contacts", pageSize=2, pageNumber=2, sortOrder="firstName:desc")
    assert [one["firstName"] for one in page["entities"]] == ["a"]
    assert (page["total"], page["pageCount"]) == (3, 2)
    assert names(api, sortOrder="firstName:asc") == ["a", "b", "c"]
    assert api.call("GET", "/contacts", sortOrder="workEmail:asc").status_code == 400


def test_search_ends_after_a_thousand_records(api: Api) -> None:
    add(api, *(str(number) for number in range(1010)))
    assert len(names(api, pageSize=200, pageNumber=5)) == 200
    assert len(names(api, pageSize=1000, q="1")) < 1000
    for size, number in ((200, 6), (1001, 1), (0, 1), (1, 0), ("x", 1)):
        assert api.call("GET", "/contacts", pageSize=size, pageNumber=number).status_code == 400


def test_reverse_lookup_finds_all_that_share_a_value_oldest_first(api: Api) -> None:
    shared = add(api, *(str(number) for number in range(26)), cellPhone={"display": "+1 704 298 4733"})
    ada = add(api, "Ada", workEmail="Ada@A.example", twitterId={"screenName": "Countess"})

    def found(value: str) -> list[str]:
        answer = api.ok("GET", "/reversewhitepageslookup", lookupVal=value)
        return [one["id"] for one in answer["contacts"]]

    assert found("+17042984733") == shared[:25]
    assert found("ada@a.example") == found("@countess") == ada
    assert found("7042984733") == found("ada@b.example") == []
    assert api.call("GET", "/reversewhitepageslookup", lookupVal=" ").status_code == 400


def looked_up(api: Api, value: str) -> list[str]:
    return [one["id"] for one in api.ok("GET", "/reversewhitepageslookup", lookupVal=value)["contacts"]]


def searched(api: Api, **query: Any) -> list[str]:  # noqa: ANN401 -- query values
    return [one["id"] for one in api.ok("GET", "/contacts", **query)["entities"]]


def test_the_index_lags_behind_what_is_created(start: Start, clock: ManualClock) -> None:
    api = start(faults=Faults(index_lag_seconds=5))
    (ada,) = add(api, "Ada", workEmail="a@a.example")
    clock.advance(4.9)
    assert searched(api) == searched(api, q="Ada") == looked_up(api, "a@a.example") == []
    assert api.ok("GET", "/contacts")["total"] == 0
    assert api.ok("GET", f"/contacts/{ada}")["firstName"] == "Ada"
    identifier = {"type": "Email", "value": "a@a.example"}
    assert api.ok("POST", "/identifierlookup/contacts", identifier)["id"] == ada
    assert scanned(api, 10) == [[ada]]
    clock.advance(0.1)
    assert searched(api) == searched(api, q="Ada") == looked_up(api, "a@a.example") == [ada]
    assert api.stats()["faults"] == {"index_lag_seconds": 4}


def test_the_index_lags_behind_what_is_changed_and_shows_what_was(start: Start, clock: ManualClock) -> None:
    api = start()
    (ada,) = add(api, "Ada", workEmail="a@a.example")
    api.server.faults = Faults(index_lag_seconds=5)
    for step, name in enumerate(("Augusta", "Byron")):
        api.ok("PUT", f"/contacts/{ada}", {"firstName": name, "workEmail": f"{step}@a.example"})
        clock.advance(3)
    assert (names(api, q="Augusta"), searched(api, q="Byron")) == (["Augusta"], [])
    assert (looked_up(api, "0@a.example"), looked_up(api, "1@a.example")) == ([ada], [])
    clock.advance(2)
    assert (names(api, q="Byron"), searched(api, q="Augusta")) == (["Byron"], [])
    assert (looked_up(api, "0@a.example"), looked_up(api, "1@a.example")) == ([], [ada])


def test_the_index_lags_behind_what_is_deleted(start: Start, clock: ManualClock) -> None:
    api = start()
    ada, bob = add(api, "Ada", "Bob", workEmail="a@a.example")
    api.server.faults = Faults(index_lag_seconds=5)
    api.ok("DELETE", f"/contacts/{ada}")
    assert sorted(searched(api)) == sorted(looked_up(api, "a@a.example")) == sorted([ada, bob])
    assert api.refused("GET", f"/contacts/{ada}") == (404, "entity.not.found")
    clock.advance(5)
    assert searched(api) == looked_up(api, "a@a.example") == [bob]


def test_enrich_matches_what_the_index_does_not_know_yet(start: Start) -> None:
    api = start(faults=Faults(index_lag_seconds=5))
    (ada,) = add(api, "Ada", workEmail="a@a.example")
    identifier = {"type": "Email", "value": "a@a.example"}
    body = {"action": "Upsert", "matchingIdentifiers": [identifier], "contact": {"lastName": "Lovelace"}}
    assert api.ok("POST", "/contacts/enrich", body)["id"] == ada
    assert api.call("POST", "/contacts/enrich", body, dryRun="true").status_code == 200
    assert searched(api) == []


def test_an_index_whose_lag_ends_knows_everything_at_once(start: Start) -> None:
    api = start(faults=Faults(index_lag_seconds=5))
    (ada,) = add(api, "Ada")
    assert searched(api) == []
    api.server.faults = Faults()
    assert searched(api) == [ada]
