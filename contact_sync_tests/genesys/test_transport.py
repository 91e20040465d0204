import logging

import pytest
import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.errors import (
    GenesysFatalError,
    GenesysRetryableError,
    GenesysRowError,
)
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.transport import PATIENCE, Transport
from contact_sync_tests.genesys.conftest import Clock, Line
from contact_sync_tests.genesys.server import GREETING, ScriptedGenesys, error
from contact_sync_tests.scripted import HTML, Reply, Seen


def test_a_request_is_authorised_named_and_counted(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.extend([GREETING, GREETING])
    assert transport.get("/a", {"name": "x y"}).body == {"hello": "world"}
    transport.post("/b", {"some": "body"})
    read, write = server.seen
    assert (read.method, read.path, read.query) == ("GET", "/a", {"name": "x y"})
    assert (write.method, write.path, write.json) == ("POST", "/b", {"some": "body"})
    assert read.headers["Authorization"] == "Bearer token-1"
    assert read.headers["User-Agent"].startswith("contact-sync/")
    assert (transport.requests_sent, transport.writes_sent) == (2, 1)


def test_connections_are_kept_open(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.extend([GREETING, error(422, "validation.failed"), GREETING])
    transport.get("/a")
    with pytest.raises(GenesysRowError):
        transport.get("/a")
    transport.get("/a")
    assert server.connections == 1  # the token came over it, too: one host here


def test_a_401_gets_one_new_token_and_one_replay(server: ScriptedGenesys, transport: Transport) -> None:
    server.script.extend([error(401, "bad.credentials"), GREETING])
    transport.get("/a")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer token-1", "Bearer token-2"]


def test_a_second_401_is_fatal(server: ScriptedGenesys, transport: Transport) -> None:
    server.otherwise = error(401, "bad.credentials")
    with pytest.raises(GenesysFatalError, match=r"401 bad.credentials: is the OAuth client active") as refused:
        transport.get("/a")
    assert (refused.value.status, len(server.seen), len(server.token_requests)) == (401, 2, 2)


def test_a_missing_permission_is_named(server: ScriptedGenesys, transport: Transport) -> None:
    message = "You are missing the following permission(s): externalContacts:contact:enrich"
    server.script.append(Reply(403, {"code": "missing.permissions", "message": message}))
    with pytest.raises(GenesysFatalError, match=r"OAuth client externalContacts:contact:enrich$"):
        transport.get("/a")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["Retry-After", "inin-ratelimit-reset"])
def test_no_request_goes_out_before_retry_after(
    server: ScriptedGenesys, transport: Transport, budget: Line, clock: Clock, status: int, header: str
) -> None:
    arrivals: list[float] = []

    def note(reply: Reply, seen: Seen) -> Reply:
        assert seen.path == "/a"
        arrivals.append(clock.now)
        return reply

    throttled = Reply(status, {"code": "too.many.requests"}, {header: "17"})
    server.script.extend([lambda seen: note(throttled, seen), lambda seen: note(GREETING, seen)])
    transport.get("/a")
    if status == 503 and header == "inin-ratelimit-reset":
        assert arrivals[1] - arrivals[0] < 17  # it tells of the rate limit, which is not why
    else:
        assert arrivals[1] - arrivals[0] == pytest.approx(18)  # the header is rounded
        assert budget.closed_until == pytest.approx(arrivals[1])


def test_a_senseless_retry_after_means_backing_off(
    server: ScriptedGenesys, transport: Transport, clock: Clock
) -> None:
    server.script.extend([error(429, "too.many.requests", Retry_After="soon"), GREETING])
    transport.get("/a")
    assert 0 < sum(clock.slept) <= 3


def test_a_wait_beyond_patience_is_left_to_the_caller(
    server: ScriptedGenesys, transport: Transport, clock: Clock
) -> None:
    server.script.append(error(429, "too.many.requests", Retry_After="3600"))
    with pytest.raises(GenesysRetryableError) as throttled:
        transport.get("/a")
    assert throttled.value.retry_after == 3600
    with pytest.raises(GenesysRetryableError, match="budget is paused for 3601 s"):
        transport.get("/a")
    assert len(server.seen) == 1
    assert sum(clock.slept) < PATIENCE


def test_trouble_passes(
    server: ScriptedGenesys, transport: Transport, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.script.extend(
        [
            error(500, "internal.server.error"),
            Reply(502, b"<html>Bad Gateway</html>", HTML),
            Reply(drop=True),
            Reply(200, b'{"cut": "o'),
            GREETING,
        ]
    )
    with caplog.at_level(logging.WARNING, "contact_sync"):
        assert transport.post("/a", {"name": "Ada Lovelace"}).body == {"hello": "world"}
    assert len(clock.slept) == 4
    assert all(wait > 0 for wait in clock.slept)
    assert "500 internal.server.error" in caplog.text
    for private in ("Ada", "+49", "Bad Gateway", "token-1"):
        assert private not in caplog.text


def test_trouble_that_stays_is_raised_after_the_last_attempt(
    server: ScriptedGenesys, transport: Transport
) -> None:
    server.otherwise = error(503, "service.unavailable", ININ_Correlation_Id="corr-9")
    with pytest.raises(
        GenesysRetryableError, match=r"503 service.unavailable \(correlation id corr-9\)$"
    ) as failed:
        transport.get("/a")
    assert (failed.value.status, failed.value.code, failed.value.correlation_id) == (
        503,
        "service.unavailable",
        "corr-9",
    )
    assert len(server.seen) == 5


def test_a_throttled_login_host_is_waited_for(server: ScriptedGenesys, transport: Transport, clock: Clock) -> None:
    server.tokens.append(Reply(429, {}, {"Retry-After": "9"}))
    server.script.append(GREETING)
    transport.get("/a")
    assert clock.slept == [9]


def test_nobody_there_is_worth_a_retry(
    tokens: TokenManager, budget: Line, session: requests.Session, clock: Clock
) -> None:
    nowhere = Hosts("http://127.0.0.1:1", "http://127.0.0.1:1")
    transport = Transport(nowhere, tokens, budget, session=session, sleep=clock.sleep, clock=clock, attempts=2)
    with pytest.raises(
        GenesysRetryableError, match=r"^Genesys did not answer GET 127.0.0.1:1/a \(ConnectionError\)$"
    ) as failed:
        transport.get("/a", {"name": "Ada"})
    assert len(clock.slept) == 1
    assert failed.value.__context__ is None  # it would tell the query
