"""HTTP as the rooms share it: one exchange, bounded in time and size, and its repetition where that helps.

What belongs here: a session that takes nothing from the environment, sending one request, reading its answer to
the end, and the pauses between attempts. What an answer means, which failure may pass, and what an operator is
told belongs to each room; nothing of the project is imported.

Why there is no answer is a value and no exception, so that no library's exception, with an address or a header in
its text, hangs on as context of the error that a room raises. Of such an exception only the type is told.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import TypeGuard, TypeVar

import requests
import urllib3
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

CONNECT_TIMEOUT = 10.0  # seconds
_CHUNK = 64 * 1024

T = TypeVar("T")

_log = logging.getLogger(__name__)
_backoff = wait_exponential_jitter(max=30, jitter=1)


class BearerAuth(AuthBase):
    """Puts a token on a request; as an auth object it cannot be overruled by a `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return `request` with the token on it."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def is_sendable(token: object) -> TypeGuard[str]:
    """Whether `token` can be in a header; http.client would quote another one in its exception."""
    return isinstance(token, str) and token != "" and token.isascii() and token.isprintable()


@dataclass(frozen=True)
class Answer:
    """An answer read to its end."""

    place: str  # method, host and path: for messages
    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Unsendable:
    """The request cannot be sent, this time or another; `kind` is the type of the library's exception."""

    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came, or its end did not; `kind` is the type of the library's exception."""

    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The answer was still coming after `deadline` seconds."""

    place: str
    status: int
    deadline: float


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The answer has more than `limit` bytes."""

    place: str
    status: int
    limit: int


Failure = Unsendable | Unanswered | Unfinished | TooLarge


class Wire:
    """Sends requests one at a time over connections that are kept open; safe to share between threads.

    Args:
        session: Made to take nothing from the environment: a `.netrc` would replace the token, a proxy variable
            would reroute it.
        clock: Monotonic seconds.
        deadline: Seconds for one exchange: a body that drips in is given up, even if never silent for long.
        silence: Seconds without a byte, also before the first one.
        limit: Bytes of an answer, unpacked.
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        clock: Callable[[], float],
        deadline: float,
        silence: float,
        limit: int,
    ) -> None:
        session.trust_env = False
        session.headers.update({"User-Agent": f"contact-sync/{_version()}", "Accept": "application/json"})
        self._session = session
        self._clock = clock
        self._deadline = deadline
        self._timeout = (min(CONNECT_TIMEOUT, deadline), min(silence, deadline))
        self._limit = limit

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def exchange(self, request: requests.Request) -> Answer | Failure:
        """Send `request` once and return its answer, whatever its status, or why there is none."""
        place = f"{request.method} {str(request.url).partition('://')[2].partition('?')[0]}"  # a query is not told
        ends = self._clock() + self._deadline
        try:
            prepared = self._session.prepare_request(request)
            with self._session.send(
                prepared, stream=True, allow_redirects=False, timeout=self._timeout
            ) as response:
                return self._read(response, ends, place)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as failure:
            unsendable = isinstance(failure, ValueError) and isinstance(failure, requests.RequestException)
            return (Unsendable if unsendable else Unanswered)(place, type(failure).__name__)

    def _read(self, response: requests.Response, ends: float, place: str) -> Answer | Failure:
        content = bytearray()
        # `read1` returns what has arrived; `iter_content` would wait for a whole chunk and never see the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > self._limit:
                return TooLarge(place, response.status_code, self._limit)
            if self._clock() > ends:
                return Unfinished(place, response.status_code, self._deadline)
        return Answer(place, response.status_code, response.headers, bytes(content))


def seconds_asked(retry_after: str) -> float | None:
    """Return the seconds that a Retry-After header asks to wait; None if it is empty or makes no sense."""
    try:
        return urllib3.Retry().parse_retry_after(retry_after)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def parsed(content: bytes, fraction: Callable[[str], object] = float) -> object:
    """Return what JSON says, fractions as `fraction` reads them; None if it is none, such as a page of HTML."""
    try:
        return json.loads(content, parse_float=fraction)
    except (ValueError, RecursionError):
        return None


class PassingError(Exception):
    """A failure that may pass; `retry_after` is the seconds that it asks to wait, None if it does not say."""

    retry_after: float | None = None


def repeated(attempt: Callable[[], T], *, attempts: int, patience: float, sleep: Callable[[float], None]) -> T:
    """Return what `attempt` does, tried again while it raises a `PassingError`.

    Args:
        attempt: What to do.
        attempts: How often it is tried.
        patience: The longest pause, in seconds, that is slept through if it is asked for.
        sleep: Waits for a number of seconds.

    Raises:
        PassingError: Still failing after the last attempt, or a longer pause is asked for.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=_pause,
        retry=retry_if_exception(
            lambda error: isinstance(error, PassingError) and (error.retry_after or 0.0) <= patience
        ),
        sleep=sleep,
        before_sleep=_announce,
        reraise=True,
    )
    return retrying(attempt)


def _pause(state: RetryCallState) -> float:
    """Return the seconds to back off: what the failure asks for, else exponentially more with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, PassingError) else None
    return _backoff(state) if asked is None else asked


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("%s; attempt %d failed, trying again", error, state.attempt_number)


def _version() -> str:
    try:
        return metadata.version("contact-sync")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "dev"
