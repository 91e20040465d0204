import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from contact_sync.genesys.auth import BearerAuth, TokenManager
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.regions import Hosts
from contact_sync_tests.genesys.conftest import SECRET, Clock
from contact_sync_tests.genesys.server import Reply, ScriptedServer, Seen


def refusal(words: str, status: int = 400) -> Reply:
    return Reply(status, {"error": "invalid_client", "description": words, "error_description": words})


def test_a_token_is_asked_for_as_genesys_documents(server: ScriptedServer, tokens: TokenManager) -> None:
    assert tokens.token() == tokens.token() == "token-1"
    (seen,) = server.token_requests
    assert base64.b64decode(seen.headers["Authorization"].removeprefix("Basic ")).decode() == f"client-id:{SECRET}"
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen.headers["User-Agent"].startswith("contact-sync/")
    assert seen.body == b"grant_type=client_credentials"


@pytest.mark.parametrize(("life", "margin"), [(86_400, 300), (3_600, 300), (300, 30)])
def test_a_token_is_replaced_before_it_ends(
    server: ScriptedServer, tokens: TokenManager, clock: Clock, life: int, margin: int
) -> None:
    server.tokens.append(Reply(200, {"access_token": "first", "expires_in": life}))
    assert tokens.token() == "first"
    clock.now += life - margin - 1
    assert tokens.token() == "first"
    clock.now += 1
    assert tokens.token() == "token-2"


def test_sixteen_threads_cause_one_refresh(server: ScriptedServer, tokens: TokenManager) -> None:
    barrier = threading.Barrier(16)

    def ask() -> str:
        barrier.wait()
        return tokens.token()

    with ThreadPoolExecutor(16) as pool:
        got = {future.result() for future in [pool.submit(ask) for _ in range(16)]}
    assert got == {"token-1"}
    assert len(server.token_requests) == 1


def test_only_the_current_token_can_be_invalidated(server: ScriptedServer, tokens: TokenManager) -> None:
    old = tokens.token()
    tokens.invalidate(old)
    assert tokens.token() == "token-2"
    tokens.invalidate(old)
    assert tokens.token() == "token-2"
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("status", [400, 401])
def test_a_region_that_does_not_know_the_client_says_so(
    server: ScriptedServer, tokens: TokenManager, status: int
) -> None:
    server.tokens.append(refusal("client not found", status))
    with pytest.raises(GenesysFatalError) as refused:
        tokens.token()
    region = server.url.removeprefix("http://")
    assert str(refused.value) == (
        f"the region {region} does not know this client: check GENESYS_REGION and GENESYS_CLIENT_ID"
    )


def test_a_wrong_secret_names_its_setting(server: ScriptedServer, tokens: TokenManager) -> None:
    server.tokens.append(refusal("authentication failed", 401))
    with pytest.raises(GenesysFatalError, match=r"check GENESYS_CLIENT_SECRET$"):
        tokens.token()


def test_another_refusal_names_the_settings(server: ScriptedServer, tokens: TokenManager) -> None:
    server.tokens.append(Reply(400, {"error": "unauthorized_client"}))
    with pytest.raises(GenesysFatalError, match=r"unauthorized_client.*GENESYS_CLIENT_ID"):
        tokens.token()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, {"error": "invalid_request", "description": "rate limit exceeded; try later"}),
        Reply(429),
        Reply(503, b"<html>down</html>", {"Content-Type": "text/html"}),
        Reply(drop=True),
    ],
)
def test_a_throttled_or_absent_login_host_is_worth_a_retry(
    server: ScriptedServer, tokens: TokenManager, reply: Reply
) -> None:
    server.tokens.append(reply)
    with pytest.raises(GenesysRetryableError):
        tokens.token()
    assert tokens.token() == "token-2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": "t"},
        {"access_token": "", "expires_in": 60},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "evil\r\nX-Header: 1", "expires_in": 60},
        [],
    ],
)
def test_an_answer_without_a_usable_token_is_fatal(
    server: ScriptedServer, tokens: TokenManager, body: object
) -> None:
    server.tokens.append(Reply(200, body))
    with pytest.raises(GenesysFatalError, match="without a token"):
        tokens.token()


def test_the_credentials_are_not_sent_after_a_redirect(server: ScriptedServer, tokens: TokenManager) -> None:
    server.tokens.append(Reply(307, {}, {"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(GenesysFatalError):
        tokens.token()
    assert server.seen == []


def test_a_secret_beyond_latin_1_is_sent_as_utf_8(
    server: ScriptedServer, hosts: Hosts, session: requests.Session
) -> None:
    TokenManager(hosts, "id", "пароль", session=session).token()
    sent = server.token_requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "id:пароль"


def test_no_secret_shows_in_a_repr_or_an_exception(server: ScriptedServer, tokens: TokenManager) -> None:
    def echo(seen: Seen) -> Reply:
        return Reply(401, {"error": seen.headers["Authorization"], "description": SECRET})

    server.tokens.append(echo)
    with pytest.raises(GenesysError) as refused:
        tokens.token()
    token = tokens.token()
    shown = f"{tokens!r} {BearerAuth(token)!r} {refused.value!r} {vars(refused.value)}"
    assert refused.value.__context__ is None
    for secret in (SECRET, token, "Basic "):
        assert secret not in shown
