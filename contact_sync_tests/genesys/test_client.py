import pytest

from contact_sync.genesys.client import MAX_UPSERTS, GenesysClient
from contact_sync.genesys.errors import (
    GenesysFatalError,
    GenesysRetryableError,
    GenesysRowError,
)
from contact_sync.genesys.payloads import ExternalId, Upsert
from contact_sync_tests.genesys.server import ScriptedGenesys, done, entities, error, success
from contact_sync_tests.scripted import Reply, Script, Seen

CONTACTS = "/api/v2/externalcontacts/bulk/contacts"
SOURCES = "/api/v2/externalcontacts/externalsources"


def upserts(count: int) -> list[Upsert]:
    return [Upsert(f"t-{n}", (ExternalId("source", f"00{n}"),), {"lastName": f"L{n}"}) for n in range(count)]


def page(*names: str, **more: object) -> Reply:
    return Reply(200, {"entities": [{"id": f"id-of-{name}", "name": name} for name in names], **more})


def picky(*, most: int, poison: str = "") -> Script:
    """Refuse a list that is longer than `most` or holds the tracker `poison`."""

    def answer(seen: Seen) -> Reply:
        if len(entities(seen)) > most:
            return error(400, "bad.request")
        if any(item["id"] == poison for item in entities(seen)):
            return error(422, "validation.failed", ININ_Correlation_Id="corr-7")
        return done(seen)

    return answer


def test_the_organization_is_the_clients_own(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.append(Reply(200, {"id": "org-1", "name": "Acme"}))
    found = client.organization()
    assert (found.id, found.name) == ("org-1", "Acme")
    assert (server.seen[0].method, server.seen[0].path) == ("GET", "/api/v2/organizations/me")


def test_an_organization_without_id_is_fatal(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.append(Reply(200, {"name": "Acme"}))
    with pytest.raises(GenesysFatalError, match="organisation's id"):
        client.organization()


def test_ten_upserts_are_one_request(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.append(done)
    results = client.upsert(upserts(10))
    assert [result.tracker for result in results] == [f"t-{n}" for n in range(10)]
    assert all(result.ok and result.created for result in results)
    assert (server.seen[0].path, len(entities(server.seen[0]))) == (f"{CONTACTS}/enrich", 10)
    assert (client.requests_sent, client.writes_sent) == (1, 1)


def test_nothing_to_do_sends_nothing(client: GenesysClient) -> None:
    assert client.upsert([]) == client.remove([]) == []
    assert client.requests_sent == 0


def test_results_follow_the_items_whatever_the_order_of_the_answer(
    server: ScriptedGenesys, client: GenesysClient
) -> None:
    answers = [success("t-2"), success("stranger"), success("t-0", 200)]
    server.script.append(Reply(200, {"results": answers}))
    first, second, third = client.upsert(upserts(3))
    assert (first.contact_id, first.created, third.contact_id) == ("contact-of-t-0", False, "contact-of-t-2")
    assert (second.ok, second.retryable, second.code) == (False, True, "missing.from.answer")


def test_a_bad_item_does_not_stop_the_good(server: ScriptedGenesys, client: GenesysClient) -> None:
    bad = {"id": "t-1", "success": False, "status": 422, "error": {"code": "validation.failed", "status": 422}}
    server.script.append(Reply(200, {"results": [success("t-0"), bad], "errorCount": 1, "errorIndexes": [1]}))
    good, held = client.upsert(upserts(2))
    assert good.ok
    assert (held.ok, held.status, held.code, held.retryable) == (False, 422, "validation.failed", False)


@pytest.mark.parametrize("poison", [f"t-{n}" for n in range(MAX_UPSERTS)])
def test_an_item_that_spoils_the_whole_list_is_found(
    server: ScriptedGenesys, client: GenesysClient, poison: str
) -> None:
    server.otherwise = picky(most=10, poison=poison)
    results = client.upsert(upserts(10))
    assert [result.tracker for result in results] == [f"t-{n}" for n in range(10)]
    (held,) = [result for result in results if not result.ok]
    assert (held.tracker, held.status, held.code) == (poison, 422, "validation.failed")
    assert (held.retryable, held.correlation_id) == (False, "corr-7")
    assert client.requests_sent <= 9


def test_a_gateway_that_finds_the_list_too_large_need_not_say_so_in_json(
    server: ScriptedGenesys, client: GenesysClient
) -> None:
    page_413 = Reply(413, b"<html>too large</html>", {"Content-Type": "text/html"})
    server.script.extend([page_413, done, page_413])
    good, held = client.upsert(upserts(2))
    assert good.ok
    assert (held.ok, held.status, held.code) == (False, 413, "unknown")


def test_a_refusal_that_no_part_escapes_is_raised(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.append(error(404, "not.found"))
    with pytest.raises(GenesysRowError):
        client.upsert(upserts(10))
    assert client.requests_sent == 1


def test_more_than_ten_upserts_or_twins_are_refused(client: GenesysClient) -> None:
    with pytest.raises(ValueError, match="at most 10"):
        client.upsert(upserts(11))
    with pytest.raises(ValueError, match="share an id"):
        client.upsert(upserts(1) * 2)
    with pytest.raises(ValueError, match="share an id"):
        client.remove(["a", "a"])
    assert client.requests_sent == 0


def test_a_removed_contact_and_one_that_was_gone_are_both_done(
    server: ScriptedGenesys, client: GenesysClient
) -> None:
    gone = {"id": "b", "success": False, "error": {"status": 404, "code": "contact.not.found", "retryable": False}}
    stuck = {"id": "c", "success": False, "error": {"status": 503, "code": "service.unavailable"}}
    server.script.append(Reply(200, {"results": [stuck, gone, {"id": "a", "success": True, "status": 200}]}))
    removed, absent, failed = client.remove(["a", "b", "c"])
    assert (removed.ok, removed.contact_id, removed.code, removed.retryable) == (True, "a", None, False)
    assert (absent.ok, absent.contact_id, absent.code, absent.retryable) == (True, "b", "contact.not.found", False)
    assert (failed.ok, failed.retryable) == (False, True)
    assert (server.seen[0].path, server.seen[0].json) == (
        f"{CONTACTS}/remove",
        {"entities": [{"id": "a"}, {"id": "b"}, {"id": "c"}]},
    )


def test_a_list_that_is_too_long_is_halved(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.otherwise = picky(most=6)
    ids = [f"contact-{n}" for n in range(20)]
    results = client.remove(ids)
    assert [result.contact_id for result in results] == ids
    assert [len(entities(seen)) for seen in server.seen] == [20, 10, 5, 5, 10, 5, 5]


def test_a_lost_answer_is_asked_for_again(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.extend([Reply(drop=True), done])
    (result,) = client.upsert(upserts(1))
    assert result.ok
    assert server.seen[0].body == server.seen[1].body
    assert client.writes_sent == 2


def test_an_external_source_is_found_by_its_whole_name(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.append(page("crm-old", "crm"))
    assert client.ensure_external_source("crm") == "id-of-crm"
    assert (server.seen[0].path, server.seen[0].query) == (SOURCES, {"name": "crm", "limit": "200"})
    assert client.writes_sent == 0


@pytest.mark.parametrize(
    "more",
    [
        {"cursors": {"after": "c2"}},
        {"nextUri": f"{SOURCES}?limit=200&cursor=c2"},
    ],
)
def test_the_list_is_read_to_the_page_that_has_the_name(
    server: ScriptedGenesys, client: GenesysClient, more: dict[str, object]
) -> None:
    server.script.extend([page("crm-old", **more), page(cursors={"after": "c3"}), page("crm")])
    assert client.ensure_external_source("crm") == "id-of-crm"
    assert [seen.query.get("cursor") for seen in server.seen] == [None, "c2", "c3"]


def test_a_next_page_on_this_host_may_be_given_in_full(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.extend([page(nextUri=f"{server.url}{SOURCES}?cursor=c2"), page("crm")])
    assert client.ensure_external_source("crm") == "id-of-crm"


@pytest.mark.parametrize(
    "foreign", ["http://evil.example/x?cursor=c2", "//evil.example/x", "http://127.0.0.1:1/x"]
)
def test_a_next_page_on_another_host_is_refused(
    server: ScriptedGenesys, client: GenesysClient, foreign: str
) -> None:
    server.script.append(page("crm-old", nextUri=foreign, cursors={"after": "c2"}))
    with pytest.raises(GenesysFatalError, match=r"another host: refused$"):
        client.ensure_external_source("crm")
    assert client.requests_sent == 1


def test_a_cursor_that_repeats_ends_the_list(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.extend([page(cursors={"after": "c2"}), page(cursors={"after": "c2"}), Reply(200, {"id": "new"})])
    assert client.ensure_external_source("crm") == "new"


def test_a_missing_external_source_is_created(server: ScriptedGenesys, client: GenesysClient) -> None:
    server.script.extend([page("crm-old"), Reply(200, {"id": "new", "name": "crm"})])
    assert client.ensure_external_source(" crm ") == "new"
    assert server.seen[1].json == {"name": "crm", "active": True}
    assert client.writes_sent == 1


def test_a_source_that_someone_else_created_meanwhile_is_looked_up(
    server: ScriptedGenesys, client: GenesysClient
) -> None:
    server.script.extend([page(), Reply(drop=True), error(409, "external.source.exists"), page("crm")])
    assert client.ensure_external_source("crm") == "id-of-crm"


def test_a_source_that_exists_but_is_not_listed_yet_is_worth_a_retry(
    server: ScriptedGenesys, client: GenesysClient
) -> None:
    server.script.extend([page(), error(409, "external.source.exists"), page()])
    with pytest.raises(GenesysRetryableError, match="does not list it yet"):
        client.ensure_external_source("crm")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(409, "max.external.source.limit.reached"), GenesysFatalError),
        (error(422, "validation.failed"), GenesysRowError),
        (Reply(200, {"name": "crm"}), GenesysFatalError),
    ],
)
def test_a_source_that_cannot_be_created_is_an_error(
    server: ScriptedGenesys, client: GenesysClient, reply: Reply, kind: type[Exception]
) -> None:
    server.script.extend([page(), reply])
    with pytest.raises(kind):
        client.ensure_external_source("crm")
    assert client.requests_sent == 2


def test_a_client_shows_where_it_talks_to_and_nothing_else(server: ScriptedGenesys, client: GenesysClient) -> None:
    assert repr(client) == f"GenesysClient({server.url.removeprefix('http://')})"


def test_a_request_that_would_be_too_large_is_halved_before_it_is_sent(
    server: ScriptedGenesys, client: GenesysClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.otherwise = done
    items = upserts(4)
    monkeypatch.setattr("contact_sync.genesys.client.MAX_BODY", 1000)
    huge = Upsert("t-huge", (ExternalId("source", "huge"),), {"lastName": "L" * 1000})
    results = {result.tracker: result for result in client.upsert([*items, huge])}
    assert [results[item.tracker].ok for item in items] == [True] * 4
    assert (results["t-huge"].status, results["t-huge"].code) == (413, "request.entity.too.large")
    assert all(len(seen.body) <= 1000 for seen in server.seen)
    assert "t-huge" not in {item["id"] for seen in server.seen for item in entities(seen)}
