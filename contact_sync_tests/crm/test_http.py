from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
import requests

from contact_sync.crm.http import (
    ATTEMPTS,
    PATIENCE,
    Answer,
    CrmRetryableError,
    Http,
    error_of,
    origin_of,
    require_same_origin,
)
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.wire import BearerAuth, Failure, TooLarge, Unanswered, Unfinished, Unsendable
from contact_sync_tests.scripted import Reply, Scripted

SECRET = "s3cret"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def client(naps: list[float]) -> Iterator[Http]:
    client = Http(sleep=naps.append)
    yield client
    client.close()


def get(server: Scripted, path: str = f"/query?q={SECRET}") -> requests.Request:
    return requests.Request("GET", server.url + path, auth=BearerAuth(SECRET))


def insisting(client: Http, server: Scripted) -> Callable[[], Answer]:
    """Return an attempt that takes a success only."""

    def attempt() -> Answer:
        answer = client.exchange(get(server))
        if not answer.ok:
            raise answer.transient()
        return answer

    return attempt


def test_what_may_pass_is_tried_again(server: Scripted, client: Http, naps: list[float]) -> None:
    throttled = Reply(429, headers={"Retry-After": "17"})
    server.script.extend([Reply(503), Reply(drop=True), throttled, Reply(200, {"a": 1.50})])
    assert client.repeated(insisting(client, server)).json() == {"a": Decimal("1.5")}
    assert (len(naps), naps[-1]) == (3, 17)


def test_attempts_are_bounded(server: Scripted, client: Http, naps: list[float]) -> None:
    with pytest.raises(
        CrmRetryableError, match=r"the CRM answered GET 127\.0\.0\.1:\d+/query with 500$"
    ) as failed:
        client.repeated(insisting(client, server))
    assert len(server.seen) == ATTEMPTS == len(naps) + 1
    assert failed.value.__context__ is None


def test_a_pause_that_is_too_long_is_left_to_the_next_run(
    server: Scripted, client: Http, naps: list[float]
) -> None:
    server.script.append(Reply(429, headers={"Retry-After": str(int(PATIENCE) + 1)}))
    with pytest.raises(CrmRetryableError) as failed:
        client.repeated(insisting(client, server))
    assert failed.value.retry_after == PATIENCE + 1
    assert (naps, len(server.seen)) == ([], 1)


def test_why_there_is_no_answer_is_told() -> None:
    place, kind = "GET a/b", "SomeError"
    lost: tuple[Failure, ...] = (
        Unsendable(place, kind),
        Unanswered(place, kind),
        Unfinished(place, 200, 300.0),
        TooLarge(place, 200, 1_000),
    )
    assert [(type(one), str(one)) for one in map(error_of, lost)] == [
        (CrmConfigurationError, "the request GET a/b cannot be sent (SomeError): check the CRM's address"),
        (CrmRetryableError, "the CRM did not answer GET a/b (SomeError)"),
        (CrmRetryableError, "the CRM did not finish its answer to GET a/b in 300 s"),
        (CrmConfigurationError, "the CRM answered GET a/b with more than 1000 bytes: is the host right?"),
    ]


def test_a_redirect_is_not_followed(server: Scripted, client: Http) -> None:
    server.script.append(Reply(302, headers={"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(CrmConfigurationError, match="302, a redirect, which is not followed"):
        client.exchange(get(server))
    assert len(server.seen) == 1


def test_a_page_of_html_is_no_json(server: Scripted, client: Http) -> None:
    server.script.append(Reply(200, b"<html>", {"Content-Type": "text/html"}))
    assert client.exchange(get(server)).json() is None


def test_nothing_private_shows_in_a_failure(server: Scripted, client: Http) -> None:
    server.script.extend([Reply(drop=True), Reply(503, {"message": SECRET})])
    for _ in range(2):
        with pytest.raises(CrmError) as failed:
            insisting(client, server)()
        assert SECRET not in f"{failed.value!r} {vars(failed.value)}"
        assert failed.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Acme.my.salesforce.com/services/?q=1", "https://acme.my.salesforce.com"),
        ("https://acme.crm4.dynamics.com:8443", "https://acme.crm4.dynamics.com:8443"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_the_origin_of_an_address(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "http://127.0.0.1.evil.example",
        "https://user:password@acme.my.salesforce.com",
        "https://user@acme.my.salesforce.com",
        "https://",
        "ftp://127.0.0.1",
        "acme.my.salesforce.com",
        "/relative",
        "https://host:port",
        "https://[::1",
        "",
    ],
)
def test_a_credential_is_not_sent_there(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever it says
        origin_of(url)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api",
        "http://acme.crm4.dynamics.com/api",
        "https://acme.crm4.dynamics.com:444/api",
        "https://acme.crm4.dynamics.com@evil.example/api",
        "https://acme.crm4.dynamics.com.evil.example/api",
        "//evil.example",
        "",
    ],
)
def test_a_link_to_another_host_is_not_followed(link: str) -> None:
    with pytest.raises(CrmConfigurationError, match="named a page on another host") as refused:
        require_same_origin(link, "https://acme.crm4.dynamics.com")
    assert "evil" not in str(refused.value)


def test_a_link_home_is_followed() -> None:
    require_same_origin("https://acme.crm4.dynamics.com/api?$skiptoken=1", "https://acme.crm4.dynamics.com")
