import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from contact_sync.genesys.auth import COOLDOWN, TokenManager, UnknownClientError, WrongSecretError
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError
from contact_sync.genesys.regions import Hosts
from contact_sync_tests.genesys.conftest import SECRET, Clock
from contact_sync_tests.genesys.server import ScriptedGenesys
from contact_sync_tests.scripted import Reply, Seen


def refusal(words: str, status: int = 400) -> Reply:
    return Reply(status, {"error": "invalid_client", "description": words, "error_description": words})


def test_a_token_is_asked_for_as_genesys_documents(server: ScriptedGenesys, tokens: TokenManager) -> None:
    assert tokens.token() == tokens.token() == "token-1"
    (seen,) = server.token_requests
    assert base64.b64decode(seen.headers["Authorization"].removeprefix("Basic ")).decode() == f"client-id:{SECRET}"
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen.headers["User-Agent"].startswith("contact-sync/")
    assert seen.body == b"grant_type=client_credentials"


@pytest.mark.parametrize(("life", "margin"), [(86_400, 300), (3_600, 300), (300, 30)])
def test_a_token_is_replaced_before_it_ends(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock, life: int, margin: int
) -> None:
    server.tokens.append(Reply(200, {"access_token": "first", "expires_in": life}))
    assert tokens.token() == "first"
    clock.now += life - margin - 1
    assert tokens.token() == "first"
    clock.now += 1
    assert tokens.token() == "token-2"


def test_sixteen_threads_cause_one_refresh(server: ScriptedGenesys, tokens: TokenManager) -> None:
    barrier = threading.Barrier(16)

    def ask() -> str:
        barrier.wait()
        return tokens.token()

    with ThreadPoolExecutor(16) as pool:
        got = {future.result() for future in [pool.submit(ask) for _ in range(16)]}
    assert got == {"token-1"}
    assert len(server.token_requests) == 1


def test_only_the_current_token_can_be_invalidated(server: ScriptedGenesys, tokens: TokenManager) -> None:
    old = tokens.token()
    tokens.invalidate(old)
    assert tokens.token() == "token-2"
    tokens.invalidate(old)
    assert tokens.token() == "token-2"
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("status", [400, 401])
def test_a_region_that_does_not_know_the_client_says_so(
    server: ScriptedGenesys, tokens: TokenManager, status: int
) -> None:
    server.tokens.append(refusal("client not found", status))
    with pytest.raises(UnknownClientError) as refused:
        tokens.token()
    region = server.url.removeprefix("http://")
    assert str(refused.value) == (
        f"the region {region} does not know this client: check GENESYS_REGION and GENESYS_CLIENT_ID"
    )


def test_a_region_that_another_setting_chose_names_that_one(server: ScriptedGenesys, hosts: Hosts) -> None:
    server.tokens.append(refusal("client not found"))
    with pytest.raises(UnknownClientError, match=r"check genesys.organizations and GENESYS_CLIENT_ID$"):
        TokenManager(hosts, "client-id", SECRET, setting="genesys.organizations").token()


def test_a_wrong_secret_names_its_setting(server: ScriptedGenesys, tokens: TokenManager) -> None:
    server.tokens.append(refusal("authentication failed", 401))
    with pytest.raises(WrongSecretError, match=r"check GENESYS_CLIENT_SECRET$"):
        tokens.token()


def test_another_refusal_names_the_settings(server: ScriptedGenesys, tokens: TokenManager) -> None:
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
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock, reply: Reply
) -> None:
    server.tokens.append(reply)
    with pytest.raises(GenesysRetryableError):
        tokens.token()
    clock.now += COOLDOWN
    assert tokens.token() == "token-2"


def test_sixteen_threads_cause_one_failure(server: ScriptedGenesys, tokens: TokenManager, clock: Clock) -> None:
    server.tokens.append(Reply(503, {}, {"Retry-After": "9"}))
    barrier = threading.Barrier(16)

    def ask() -> tuple[str, int | None, float | None]:
        barrier.wait()
        with pytest.raises(GenesysRetryableError) as failed:
            tokens.token()
        return str(failed.value), failed.value.status, failed.value.retry_after

    with ThreadPoolExecutor(16) as pool:
        got = {future.result() for future in [pool.submit(ask) for _ in range(16)]}
    place = f"POST {server.url.removeprefix('http://')}/oauth/token"
    assert got == {(f"{place} is throttled or unavailable (503)", 503, 9.0)}
    assert len(server.token_requests) == 1
    clock.now += 5
    with pytest.raises(GenesysRetryableError) as later:
        tokens.token()
    assert later.value.retry_after == 4
    assert later.value.__context__ is None
    assert len(server.token_requests) == 1
    clock.now += 4
    assert tokens.token() == "token-2"


def test_a_host_that_names_no_time_is_left_alone_for_a_moment(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.tokens.extend([Reply(503), Reply(503)])
    for asked in (1, 2):
        for _ in range(3):
            with pytest.raises(GenesysRetryableError) as failed:
                tokens.token()
            assert failed.value.retry_after is None
        assert len(server.token_requests) == asked
        clock.now += COOLDOWN
    assert tokens.token() == "token-3"
    assert caplog.text == ""  # what is raised is the caller's to tell


def test_while_a_token_lasts_a_failing_login_host_is_no_error(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert tokens.token() == "token-1"
    assert tokens.remaining() == 86_400
    ends = clock.now + 86_400
    server.tokens.extend([Reply(503)] * 100)
    clock.now = ends - 300
    while clock.now < ends:
        assert tokens.token() == "token-1"
        clock.now += 0.5
    assert 10 < len(server.token_requests) < 60  # often enough to find the host back, and not at every call
    assert caplog.text.count("the present token is used on") == len(server.token_requests) - 1
    assert "token-1" not in caplog.text
    assert SECRET not in caplog.text
    clock.now += COOLDOWN
    with pytest.raises(GenesysRetryableError):
        tokens.token()
    assert tokens.remaining() == 0
    server.tokens.clear()
    clock.now += COOLDOWN
    assert tokens.token().startswith("token-")


def test_a_refresh_that_failed_is_made_up_for(server: ScriptedGenesys, tokens: TokenManager, clock: Clock) -> None:
    tokens.token()
    clock.now += 86_400 - 300
    server.tokens.append(Reply(429, {}, {"Retry-After": "60"}))
    assert [tokens.token(), tokens.token()] == ["token-1", "token-1"]
    clock.now += 59
    assert tokens.token() == "token-1"
    assert len(server.token_requests) == 2
    clock.now += 1
    assert tokens.token() == "token-3"
    assert tokens.remaining() == 86_400


def test_a_token_that_met_a_401_is_not_used_on(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock
) -> None:
    tokens.token()
    clock.now += 86_400 - 300
    server.tokens.append(Reply(503))
    assert tokens.token() == "token-1"
    tokens.invalidate("token-1")
    assert tokens.token() == "token-3"  # at once: nobody said when, and there is nothing to go on with


def test_while_one_thread_refreshes_the_others_go_on_with_the_present_token(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(_seen: Seen) -> Reply:
        asked.set()
        assert answer.wait(10)
        return Reply(200, {"access_token": "new", "expires_in": 3_600})

    tokens.token()
    clock.now += 86_400 - 300
    server.tokens.append(slow)
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(tokens.token)
        assert asked.wait(10)
        assert tokens.token() == "token-1"
        answer.set()
        assert refreshed.result() == "new"
    assert tokens.token() == "new"


def test_a_secret_that_turned_wrong_is_not_hidden_by_a_token_that_lasts(
    server: ScriptedGenesys, tokens: TokenManager, clock: Clock
) -> None:
    tokens.token()
    clock.now += 86_400 - 300
    server.tokens.append(refusal("authentication failed"))
    with pytest.raises(WrongSecretError):
        tokens.token()


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
    server: ScriptedGenesys, tokens: TokenManager, body: object
) -> None:
    server.tokens.append(Reply(200, body))
    with pytest.raises(GenesysFatalError, match="without a token"):
        tokens.token()


def test_the_credentials_are_not_sent_after_a_redirect(server: ScriptedGenesys, tokens: TokenManager) -> None:
    server.tokens.append(Reply(307, {}, {"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(GenesysFatalError):
        tokens.token()
    assert server.seen == []


def test_a_secret_beyond_latin_1_is_sent_as_utf_8(
    server: ScriptedGenesys, hosts: Hosts, session: requests.Session
) -> None:
    TokenManager(hosts, "id", "пароль", session=session).token()
    sent = server.token_requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "id:пароль"


def test_no_secret_shows_in_a_repr_or_an_exception(server: ScriptedGenesys, tokens: TokenManager) -> None:
    def echo(seen: Seen) -> Reply:
        return Reply(401, {"error": seen.headers["Authorization"], "description": SECRET})

    server.tokens.append(echo)
    with pytest.raises(GenesysError) as refused:
        tokens.token()
    token = tokens.token()
    shown = f"{tokens!r} {refused.value!r} {vars(refused.value)}"
    assert refused.value.__context__ is None
    for secret in (SECRET, token, "Basic "):
        assert secret not in shown
