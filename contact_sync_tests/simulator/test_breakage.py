"""What faults do to connections, as a client sees it: with `requests`, and byte by byte with a bare socket."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from contact_sync.simulator.faults import Faults
from contact_sync_tests.simulator.api import ROOT, Api
from contact_sync_tests.simulator.conftest import Start

ADA = b'{"firstName":"Ada"}'


def contacts(api: Api) -> int:
    return len(api.server.store.contacts)


def received(api: Api) -> tuple[bytes, bool]:
    """Create a contact over a bare socket; return what came back, and whether the connection was reset."""
    port = int(api.server.base_url.rpartition(":")[2])
    head = (
        f"POST {ROOT}/contacts HTTP/1.1\r\nHost: twin\r\n"
        f"Authorization: {api.session.headers['Authorization']!s}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(ADA)}\r\n\r\n"
    )
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head.encode() + ADA)
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            return answer, True
    return answer, False


@pytest.mark.parametrize(("fault", "done"), [("refused", 0), ("lost", 1)])
def test_a_connection_is_closed_without_a_byte(start: Start, fault: str, done: int) -> None:
    api = start(faults=Faults(**{fault: 1}))  # type: ignore[arg-type]
    assert received(api) == (b"", False)
    assert contacts(api) == done
    with pytest.raises(requests.ConnectionError, match="without response"):
        api.call("POST", "/contacts", {"firstName": "Ada"})
    stats = api.stats()
    assert (contacts(api), stats["requests"], stats["faults"]) == (2 * done, 2 * done, {fault: 2})


def test_a_connection_is_reset_in_the_middle_of_the_answer(start: Start) -> None:
    api = start(faults=Faults(reset=1))
    answer, reset = received(api)
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    assert head.startswith(b"HTTP/1.1 200")
    assert (reset, len(body)) == (True, lengths[0] // 2)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.call("POST", "/contacts", {"firstName": "Ada"})
    assert (contacts(api), api.stats()["faults"]) == (2, {"reset": 2})


def test_the_next_connection_works_again(start: Start) -> None:
    api = start(faults=Faults(lost=1, reset=1, at_most={"lost": 1, "reset": 1}))
    for _ in range(2):
        with pytest.raises(requests.RequestException):
            api.call("GET", "/contacts")
    assert api.call("GET", "/contacts").status_code == 200


@pytest.mark.parametrize("seconds", [0.05, 0.0])
def test_an_answer_drips_and_is_whole_in_the_end(start: Start, seconds: float) -> None:
    api = start(faults=Faults(drip=1, drip_seconds=seconds))
    started = time.monotonic()
    created = api.ok("POST", "/contacts", {"firstName": "Ada" * 300})
    assert time.monotonic() - started >= 0.95 * seconds
    assert (created["firstName"], contacts(api)) == ("Ada" * 300, 1)
    assert api.stats()["faults"] == {"drip": 1}


def test_a_slow_drip_outlives_a_read_timeout_that_hears_a_byte_in_time(start: Start) -> None:
    api = start(faults=Faults(drip=1, drip_seconds=0.4))
    headers = {"Authorization": str(api.session.headers["Authorization"])}
    started = time.monotonic()
    url = f"{api.server.base_url}{ROOT}/contacts"
    assert requests.get(url, headers=headers, timeout=0.2).json()["entities"] == []
    assert time.monotonic() - started >= 0.38


def test_latency_holds_for_every_answer_and_blocks_no_other(start: Start) -> None:
    api = start(faults=Faults(latency_seconds=0.2))
    started = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(api.call, "GET", f"/contacts{path}") for path in ("", "/unknown") * 2]
        assert [call.result().status_code for call in calls] == [200, 404] * 2
    assert 0.2 <= time.monotonic() - started < 0.6
    assert api.stats()["faults"] == {"latency_seconds": 4}


def test_the_twins_own_paths_are_never_hit(start: Start) -> None:
    api = start(faults=Faults(refused=1, lost=1, latency_seconds=60))
    assert api.stats()["requests"] == 0
