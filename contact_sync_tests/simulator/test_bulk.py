import pytest

from contact_sync.simulator.faults import Faults
from contact_sync_tests.simulator.api import Api, Json
from contact_sync_tests.simulator.conftest import Start


def upserts(source: str, *values: str, **contact: object) -> Json:
    return {"entities": [upsert(source, value, **contact) for value in values]}


def upsert(source: str, value: str, **contact: object) -> Json:
    held = {"externalSource": {"id": source}, "value": value}
    return {
        "id": f"tracker-{value}",
        "action": "Upsert",
        "matchingIdentifiers": [{"type": "ExternalId", **held}],
        "contact": {"externalIds": [held]} | contact,
    }


TEN = [str(number) for number in range(10)]


def test_ten_are_enriched_in_one_request_and_never_twice(api: Api) -> None:
    body = upserts(api.source(), *TEN)
    created, updated = (api.ok("POST", "/bulk/contacts/enrich", body) for _ in range(2))
    assert {one["status"] for one in created["results"]} == {201}
    assert {one["status"] for one in updated["results"]} == {200}
    ids = [{one["id"]: one["entity"]["id"] for one in answer["results"]} for answer in (created, updated)]
    assert ids[0] == ids[1]
    assert ids[0].keys() == {f"tracker-{value}" for value in TEN}
    assert len(api.server.store.contacts) == 10


def test_eleven_are_too_many(api: Api) -> None:
    body = upserts(api.source(), *TEN, "eleventh")
    assert api.refused("POST", "/bulk/contacts/enrich", body) == (400, "bad.request")
    assert len(api.server.store.contacts) == 0


def test_a_refused_item_comes_back_and_stops_no_other(api: Api) -> None:
    source = api.source()
    bad = upsert(source, "bad", workEmail="nonsense")
    body = {"entities": [upsert(source, "1"), bad, upsert(source, "2")]}
    answer = api.ok("POST", "/bulk/contacts/enrich", body)
    assert (answer["errorCount"], len(api.server.store.contacts)) == (1, 2)
    failed = answer["results"][answer["errorIndexes"][0]]
    assert (failed["id"], failed["success"], failed["status"]) == ("tracker-bad", False, 422)
    assert failed["error"]["entity"] == bad
    assert failed["error"]["retryable"] is False
    detail = {"fieldName": "workEmail", "value": "nonsense", "message": "must be a valid email address"}
    assert failed["error"]["details"] == [detail]


def test_a_later_item_sees_what_an_earlier_one_did(api: Api) -> None:
    source = api.source()
    body = {"entities": [upsert(source, "1", firstName="A"), upsert(source, "1", lastName="B")]}
    answer = api.ok("POST", "/bulk/contacts/enrich", body)
    assert sorted(one["status"] for one in answer["results"]) == [200, 201]
    assert len(api.server.store.contacts) == 1


@pytest.mark.parametrize("order", ["request", "reversed", "shuffled"])
def test_the_order_of_results_is_a_setting(start: Start, order: str) -> None:
    api = start(bulk_result_order=order, bulk_created_status=200)
    body = upserts(api.source(), *TEN)
    answers = [api.ok("POST", "/bulk/contacts/enrich", body) for _ in range(2)]
    trackers = [[one["id"] for one in answer["results"]] for answer in answers]
    asked = [f"tracker-{value}" for value in TEN]
    assert trackers[0] == trackers[1]
    assert (trackers[0] == asked, trackers[0] == asked[::-1]) == (order == "request", order == "reversed")
    assert {one["status"] for one in answers[0]["results"]} == {200}


def test_error_indexes_count_in_the_results(start: Start) -> None:
    api = start(bulk_result_order="reversed")
    source = api.source()
    body = {"entities": [upsert(source, "bad", workEmail="x"), upsert(source, "1"), upsert(source, "2")]}
    assert api.ok("POST", "/bulk/contacts/enrich", body)["errorIndexes"] == [2]


def test_a_bulk_dry_run_creates_nothing(api: Api) -> None:
    answer = api.ok("POST", "/bulk/contacts/enrich", upserts(api.source(), *TEN), dryRun="true")
    assert (answer["errorCount"], len(api.server.store.contacts)) == (0, 0)


def test_a_bulk_dry_run_tells_what_the_real_one_would(api: Api) -> None:
    source = api.source()
    twice = upserts(source, "new", "new", "new")
    told, done = (api.ok("POST", "/bulk/contacts/enrich", twice, dryRun=dry) for dry in ("true", "false"))
    assert [one["status"] for one in told["results"]] == [201, 200, 200]
    assert [one["status"] for one in done["results"]] == [201, 200, 200]
    assert len({one["entity"]["id"] for one in told["results"]}) == 1


def test_add_update_fetch_and_remove(api: Api) -> None:
    names = [{"firstName": name} for name in ("A", "B", "C")]
    added = api.ok("POST", "/bulk/contacts/add", {"entities": [*names, {"workEmail": "x"}]})
    assert added["errorCount"] == 1
    ids = [one["id"] for one in added["results"] if one["success"]]
    changes = [{"id": one, "firstName": "D"} for one in [*ids, "unknown"]]
    updated = api.ok("POST", "/bulk/contacts/update", {"entities": changes})
    assert [updated["results"][index]["id"] for index in updated["errorIndexes"]] == ["unknown"]
    named = {"entities": [{"id": one} for one in [*ids, "unknown"]]}
    fetched = api.ok("POST", "/bulk/contacts", named)
    shown = {one["id"]: one["entity"]["firstName"] for one in fetched["results"] if one["success"]}
    assert shown == dict.fromkeys(ids, "D")
    removed = api.ok("POST", "/bulk/contacts/remove", named)
    assert (removed["errorCount"], len(api.server.store.contacts)) == (1, 0)
    assert all("entity" not in one for one in removed["results"])
    again = api.ok("POST", "/bulk/contacts/remove", named)
    assert {one["error"]["code"] for one in again["results"]} == {"entity.not.found"}


def test_the_most_items_of_the_other_bulk_requests_is_a_setting(start: Start) -> None:
    api = start(bulk_max_items=2)
    for path in ("", "/add", "/update", "/remove"):
        body = {"entities": [{"id": "unknown"}] * 3}
        assert api.refused("POST", f"/bulk/contacts{path}", body) == (400, "bad.request")
        assert api.call("POST", f"/bulk/contacts{path}", {"entities": body["entities"][:2]}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"entities": "x"}, {"entities": ["x"]}])
def test_what_is_no_list_is_422(api: Api, body: Json) -> None:
    assert api.refused("POST", "/bulk/contacts/add", body) == (422, "validation.failed")


def test_items_without_an_id_are_not_found(api: Api) -> None:
    answer = api.ok("POST", "/bulk/contacts/remove", {"entities": [{}]})
    assert answer["results"][0]["status"] == 404


@pytest.mark.parametrize(("fault", "done"), [("item_error", 0), ("item_error_done", 10)])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_items_fail_retryably_done_or_not(start: Start, fault: str, done: int, status: int) -> None:
    api = start(faults=Faults.model_validate({fault: 1, "item_error_status": status}))
    body = upserts(api.source(), *TEN)
    answer = api.ok("POST", "/bulk/contacts/enrich", body)
    assert (answer["errorCount"], len(api.server.store.contacts)) == (10, done)
    errors = {one["id"]: one["error"] for one in answer["results"]}
    assert {(one["status"], one["retryable"]) for one in errors.values()} == {(status, True)}
    assert {name: one["entity"] for name, one in errors.items()} == {one["id"]: one for one in body["entities"]}
    assert api.stats()["faults"] == {fault: 10}


def test_a_share_of_the_items_fails_and_a_retry_brings_them_home(start: Start) -> None:
    api = start(faults=Faults(item_error=0.3, item_error_done=0.3, seed=3))
    waiting = {one["id"]: one for one in upserts(api.source(), *TEN)["entities"]}
    rounds = 0
    while waiting:
        answer = api.ok("POST", "/bulk/contacts/enrich", {"entities": [*waiting.values()]})
        for one in answer["results"]:
            if one["success"]:
                del waiting[one["id"]]
        rounds += 1
    faults = api.stats()["faults"]
    assert rounds > 1
    assert faults.keys() == {"item_error", "item_error_done"}
    assert len(api.server.store.contacts) == 10


def test_the_same_entities_are_refused_for_good_whatever_their_tracker(start: Start) -> None:
    api = start(faults=Faults(item_refused=0.5))
    entities = upserts(api.source(), *TEN)["entities"]
    refused = []
    for prefix in ("first", "second"):
        renamed = [one | {"id": f"{prefix}-{number}"} for number, one in enumerate(entities)]
        answer = api.ok("POST", "/bulk/contacts/enrich", {"entities": renamed})
        failed = [one for one in answer["results"] if not one["success"]]
        assert {(one["status"], one["error"]["retryable"]) for one in failed} == {(422, False)}
        refused.append({one["id"].removeprefix(f"{prefix}-") for one in failed})
    assert refused[0] == refused[1]
    assert 0 < len(refused[0]) < 10
    assert len(api.server.store.contacts) == 10 - len(refused[0])


@pytest.mark.parametrize("path", ["", "/add", "/update", "/remove"])
def test_items_of_every_bulk_request_can_fail(start: Start, path: str) -> None:
    api = start(faults=Faults(item_error=1))
    answer = api.ok("POST", f"/bulk/contacts{path}", {"entities": [{"id": "1"}]})
    assert [one["error"]["status"] for one in answer["results"]] == [503]


def test_a_lower_item_limit_holds_at_once_for_every_bulk_request(start: Start) -> None:
    api = start()
    source = api.source()
    api.server.faults = Faults(max_bulk_items=2)
    three = upserts(source, "1", "2", "3")["entities"]
    for path, entities in (("/enrich", three), ("/remove", [{"id": "1"}] * 3)):
        assert api.refused("POST", f"/bulk/contacts{path}", {"entities": entities}) == (400, "bad.request")
        assert api.call("POST", f"/bulk/contacts{path}", {"entities": entities[:2]}).status_code == 200
    assert api.stats()["faults"] == {"max_bulk_items": 2}
    api.server.faults = Faults(max_bulk_items=50)
    assert api.refused("POST", "/bulk/contacts/enrich", upserts(source, *TEN, "11")) == (400, "bad.request")
    assert api.stats()["faults"] == {"max_bulk_items": 2}
