import gzip
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import pytest
import requests

from contact_sync.wire import (
    Answer,
    BearerAuth,
    Failure,
    PassingError,
    TooLarge,
    Unanswered,
    Unfinished,
    Unsendable,
    Wire,
    repeated,
    seconds_asked,
)
from contact_sync_tests.scripted import Reply, Scripted, Seen

SECRET = "s3cret"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


def exchanged(
    url: str, *, token: str | None = None, deadline: float = 5.0, silence: float = 5.0, limit: int = 1_000_000
) -> Answer | Failure:
    """Exchange one request over a wire of its own."""
    wire = Wire(requests.Session(), clock=time.monotonic, deadline=deadline, silence=silence, limit=limit)
    with closing(wire):
        return wire.exchange(requests.Request("GET", url, auth=BearerAuth(token) if token else None))


def place(server: Scripted) -> str:
    return f"GET {server.url.removeprefix('http://')}/a"


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
def test_an_answer_that_drips_is_given_up_at_the_deadline(server: Scripted, headers: dict[str, str]) -> None:
    server.script.append(Reply(200, b"x" * 500, headers, drip=0.02))
    began = time.monotonic()
    assert exchanged(f"{server.url}/a", deadline=0.3) == Unfinished(place(server), 200, 0.3)
    assert 0.3 <= time.monotonic() - began < 5.0  # all of it would take ten


@pytest.mark.parametrize("bounds", [{"deadline": 0.2}, {"silence": 0.2}])
def test_silence_is_given_up(server: Scripted, bounds: dict[str, float]) -> None:
    def silent(_: Seen) -> Reply:
        server.stopping.wait(5)
        return Reply()

    server.script.append(silent)
    began = time.monotonic()
    assert exchanged(f"{server.url}/a", **bounds) == Unanswered(place(server), "ReadTimeout")  # type: ignore[arg-type]
    assert time.monotonic() - began < 4.0


def test_an_answer_of_absurd_size_is_refused(server: Scripted) -> None:
    server.script.append(Reply(200, b"x" * 2_000))
    assert exchanged(f"{server.url}/a", limit=1_000) == TooLarge(place(server), 200, 1_000)


@pytest.mark.parametrize("drip", [0.0, 0.0005])
def test_a_packed_answer_is_unpacked_to_its_end(server: Scripted, drip: float) -> None:
    content = random.Random(7).randbytes(300) * 1_000  # noqa: S311 -- guards no secret
    server.script.append(Reply(200, gzip.compress(content), {"Content-Encoding": "gzip"}, drip=drip))
    answer = exchanged(server.url)
    assert isinstance(answer, Answer)
    assert answer.content == content


def test_a_redirect_is_not_followed(server: Scripted) -> None:
    server.script.append(Reply(302, headers={"Location": f"{server.url}/elsewhere"}))
    answer = exchanged(server.url)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.ok, len(server.seen)) == (302, False, 1)


def test_a_request_that_cannot_be_sent_is_told_apart() -> None:
    assert exchanged("http://") == Unsendable("GET ", "InvalidURL")


def test_neither_netrc_nor_proxies_of_the_environment_are_used(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password wrong\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(server.url) == ("mallory", "wrong")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    for token in (None, SECRET):
        exchanged(server.url, token=token)
    assert [seen.headers.get("Authorization") for seen in server.seen] == [None, f"Bearer {SECRET}"]


def test_nothing_private_shows(server: Scripted) -> None:
    reply = Reply(200, {"name": SECRET}, {"Set-Cookie": SECRET})
    server.script.extend([Reply(drop=True), reply])
    url = f"{server.url}/a?name={SECRET}"
    assert exchanged(url, token=SECRET) == Unanswered(place(server), "ConnectionError")
    answer = exchanged(url, token=SECRET)
    assert isinstance(answer, Answer)
    assert repr(answer) == f"Answer(place='{place(server)}', status=200)"
    assert SECRET not in repr(BearerAuth(SECRET))


def test_retry_after_may_be_a_date() -> None:
    assert seconds_asked(formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("value", ["", "soon", "-5", "9" * 5_000])
def test_a_senseless_retry_after_asks_nothing(value: str) -> None:
    assert seconds_asked(value) is None


def failing(*failures: Exception) -> Callable[[], str]:
    """Return an attempt that fails so, and then no more."""
    left = deque(failures)

    def attempt() -> str:
        if left:
            raise left.popleft()
        return "done"

    return attempt


def asking(seconds: float) -> PassingError:
    error = PassingError("not now")
    error.retry_after = seconds
    return error


def test_what_may_pass_is_tried_again_after_growing_pauses() -> None:
    naps: list[float] = []
    attempt = failing(PassingError(), PassingError(), asking(10), PassingError())
    assert repeated(attempt, attempts=5, patience=10, sleep=naps.append) == "done"
    first, second, asked, fourth = naps
    assert 1 <= first <= 2 <= second <= 3
    assert asked == 10
    assert 8 <= fourth <= 9


@pytest.mark.parametrize(
    ("failures", "slept"),
    [([PassingError()] * 3, 2), ([PassingError(), asking(11)], 1), ([ValueError()], 0)],
    ids=["attempts", "patience", "other"],
)
def test_what_does_not_pass_is_raised(failures: list[Exception], slept: int) -> None:
    naps: list[float] = []
    with pytest.raises(type(failures[-1])) as failed:
        repeated(failing(*failures), attempts=3, patience=10, sleep=naps.append)
    assert failed.value is failures[-1]
    assert failed.value.__context__ is None
    assert len(naps) == slept
