"""What faults and counts a request meets between the socket and its operation."""

import socket

import pytest
import requests

from contact_sync.simulator.faults import Faults
from contact_sync_tests.simulator.api import CREDENTIALS, ROOT, Api, Json
from contact_sync_tests.simulator.conftest import ManualClock, Start

GRANT = {"grant_type": "client_credentials"}
ADA = {"firstName": "Ada"}
TWO_CLIENTS = {"clients": dict([CREDENTIALS, ("other", "secret")]), "rate_limit_per": "client"}


def token(api: Api, client: tuple[str, str] = CREDENTIALS) -> requests.Response:
    return requests.post(f"{api.server.base_url}/oauth/token", GRANT, auth=client, timeout=5)


def unchecked(api: Api) -> Api:
    """Let an answer pass that the contract does not have."""
    api.session.hooks["response"].clear()
    return api


def test_a_storm_answers_429_does_nothing_and_spends_nothing(start: Start, clock: ManualClock) -> None:
    api = start(requests_per_minute=5)
    api.ok("GET", "/contacts")
    api.server.faults = Faults(throttled=1, retry_after=7, for_seconds={"throttled": 30})
    for _ in range(10):
        refused = api.call("POST", "/contacts", ADA)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
        told = [refused.headers[f"inin-ratelimit-{name}"] for name in ("count", "allowed", "reset")]
        assert told == ["1", "5", "60"]
        assert refused.json()["code"] == "too.many.requests.retry.after"
        assert "[7] seconds" in refused.json()["message"]
    clock.advance(30)
    api.ok("POST", "/contacts", ADA)
    stats = api.stats()
    assert (len(api.server.store.contacts), stats["writes"], stats["faults"]) == (1, 1, {"throttled": 10})
    assert stats["budget"] == {"twin-client/1": {"closed": [], "open": 2}}


def test_a_storm_may_keep_silent_about_when_to_return(start: Start) -> None:
    api = start(requests_per_minute=5, faults=Faults(throttled=1, retry_after=None))
    refused = api.call("GET", "/contacts")
    assert (refused.status_code, refused.json()["code"]) == (429, "too.many.requests")
    assert "Retry-After" not in refused.headers
    assert refused.json()["message"] == "Rate limit exceeded the maximum [5] requests within [60] seconds"


def test_a_storm_opens_no_budget_window(start: Start, clock: ManualClock) -> None:
    api = start(faults=Faults(throttled=1, at_most={"throttled": 1}))
    assert api.call("GET", "/contacts").status_code == 429
    clock.advance(50)
    assert api.call("GET", "/contacts").headers["inin-ratelimit-reset"] == "60"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("fault", "done"), [("server_error", 0), ("server_error_done", 1)])
def test_a_5xx_comes_before_or_after_the_work(start: Start, fault: str, done: int, status: int) -> None:
    api = unchecked(start(faults=Faults.model_validate({fault: 1, "server_error_status": status})))
    answer = api.call("POST", "/contacts", ADA)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["inin-ratelimit-count"] == "1"
    stats = api.stats()
    assert (len(api.server.store.contacts), stats["writes"], stats["faults"]) == (done, done, {fault: 1})


def test_the_5xx_that_genesys_declares_have_its_codes(start: Start) -> None:
    for status in (500, 503, 504):
        api = start(faults=Faults.model_validate({"server_error": 1, "server_error_status": status}))
        assert api.call("GET", "/contacts").status_code == status  # held against the contract


def test_a_gateways_error_page_is_no_json(start: Start) -> None:
    html = {"server_error_html": True, "server_error_status": 502}
    api = unchecked(start(faults=Faults.model_validate({"server_error": 1, **html})))
    answer = api.call("GET", "/contacts")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "<h1>502 Bad Gateway</h1>" in answer.text
    assert "ININ-Correlation-Id" not in answer.headers


def test_a_token_is_revoked_before_it_is_looked_at(start: Start) -> None:
    api = start(faults=Faults(token_revoked=1, at_most={"token_revoked": 1}))
    assert api.refused("POST", "/contacts", ADA) == (401, "bad.credentials")
    assert api.refused("POST", "/contacts", ADA) == (401, "bad.credentials")
    assert Api(api.server).call("POST", "/contacts", ADA).status_code == 200
    stats = api.stats()
    assert (stats["faults"], stats["budget"]) == (
        {"token_revoked": 1},
        {"twin-client/2": {"closed": [], "open": 1}},
    )


def test_the_token_endpoint_is_throttled_in_its_own_way(api: Api) -> None:
    api.server.faults = Faults(token_throttled=1, at_most={"token_throttled": 1})
    refused = token(api)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert refused.json()["description"].startswith("rate limit exceeded;")
    assert token(api).status_code == 200


@pytest.mark.parametrize("html", [True, False])
def test_the_token_endpoint_fails(start: Start, *, html: bool) -> None:
    api = start()
    api.server.faults = Faults(token_error=1, server_error_status=502, server_error_html=html)
    answer = token(api)
    assert (answer.status_code, "<h1>" in answer.text) == (502, html)
    assert api.call("GET", "/contacts").status_code == 200


def test_a_lower_body_limit_holds_at_once(start: Start) -> None:
    api = start(faults=Faults(max_body_bytes=100))
    assert api.refused("POST", "/contacts", {"firstName": "A" * 100}) == (413, "request.entity.too.large")
    api.ok("POST", "/contacts", ADA)
    assert api.stats()["faults"] == {"max_body_bytes": 1}
    api.server.faults = Faults()
    api.ok("POST", "/contacts", {"firstName": "A" * 100})


def test_statistics_tell_whom_a_429_met(start: Start) -> None:
    api = start(requests_per_minute=2, **TWO_CLIENTS)
    other = {"Authorization": f"Bearer {token(api, ('other', 'secret')).json()['access_token']}"}
    statuses = [api.call("GET", "/contacts").status_code for _ in range(3)]
    url = f"{api.server.base_url}{ROOT}/contacts"
    assert [*statuses, requests.get(url, headers=other, timeout=5).status_code] == [200, 200, 429, 200]
    requests.get(url, timeout=5)
    by_client = {"twin-client": {"200": 2, "429": 1}, "other": {"200": 1}, "": {"401": 1}}
    assert api.stats()["by_client"] == by_client


def test_statistics_tell_what_each_budget_window_spent(start: Start, clock: ManualClock) -> None:
    api = start(requests_per_minute=3, **TWO_CLIENTS)
    for calls in (1, 4, 2):
        for _ in range(calls):
            api.call("GET", "/contacts")
        clock.advance(61)
    api.call("GET", "/contacts")
    assert api.stats()["budget"] == {"twin-client": {"closed": [1, 3, 2], "open": 1}}
    requests.post(f"{api.server.base_url}/_twin/reset-stats", timeout=5)
    assert api.stats()["budget"] == {"twin-client": {"closed": [], "open": 1}}
    clock.advance(61)
    assert api.stats()["budget"] == {"twin-client": {"closed": [1], "open": 0}}


def test_a_reset_forgets_all_counts(start: Start) -> None:
    api = start(faults=Faults(server_error=1))
    api.call("POST", "/contacts", ADA)
    requests.post(f"{api.server.base_url}/_twin/reset-stats", timeout=5)
    empty: Json = {"requests": 0, "by_status": {}, "by_client": {}, "by_operation": {}, "faults": {}}
    assert {name: api.stats()[name] for name in empty} == empty


def test_statistics_give_no_token_away(start: Start) -> None:
    api = start()
    api.call("GET", "/contacts")
    secret = str(api.session.headers["Authorization"]).removeprefix("Bearer ")
    assert secret not in str(api.stats())
    assert secret not in repr(api.server.store)


def test_a_client_that_goes_away_while_sending_asks_for_nothing(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    api = start()
    port = int(api.server.base_url.rpartition(":")[2])
    for path in (f"{ROOT}/contacts", "/oauth/token"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: twin\r\nContent-Length: 99\r\n\r\n{{".encode())
    assert api.stats()["requests"] == 0
    api.server.stop()
    assert capfd.readouterr() == ("", "")
