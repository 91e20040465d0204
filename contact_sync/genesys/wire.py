"""One HTTP exchange, bounded in time and size.

What belongs here: sending one request, reading its answer, and translating every failure of the network into a
`GenesysError`. No repetition, no budget, no token: see `transport` and `auth`.

Errors are raised outside the `except` blocks that catch them, so that no library's exception, with an address or a
header in its text, hangs on as context.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata

import requests
import urllib3
from requests.adapters import HTTPAdapter

from contact_sync.genesys.answers import as_word, error_code, named_permissions
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError, classify

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds of silence
MAX_CONNECTIONS = 100  # to one host; the most that delivery.concurrency may ask for
MAX_ANSWER = 16 * 1024 * 1024  # bytes, unpacked; ten whole contacts are far below
_CHUNK = 64 * 1024
_SANE = 1_000_000_000  # no count of requests or seconds is larger


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What an answer tells of Genesys' window: requests counted and allowed, seconds until it ends."""

    count: int
    allowed: int
    reset: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read to its end; `body` is its JSON, None if it is none."""

    place: str  # method, host and path: for messages
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: object = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300

    @property
    def correlation_id(self) -> str | None:
        """Genesys' name for this request."""
        return as_word(self.headers.get("ININ-Correlation-Id"))

    @property
    def rate_limit(self) -> RateLimit | None:
        """What is told of the rate limit; None unless all three `inin-ratelimit-*` headers make sense."""
        try:
            count, allowed, reset = (
                int(self.headers[f"inin-ratelimit-{name}"]) for name in ("count", "allowed", "reset")
            )
        except (KeyError, ValueError):
            return None
        makes_sense = min(count, reset) >= 0 and allowed > 0 and max(count, allowed, reset) <= _SANE
        return RateLimit(count, allowed, reset) if makes_sense else None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the answer throttles and says how long.

        Genesys sends `Retry-After` with 429; where a gateway drops it, the reset of the rate limit stands in.
        """
        if self.status not in {429, 503}:
            return None
        reset = self.headers.get("inin-ratelimit-reset") if self.status == 429 else None
        value = self.headers.get("Retry-After") or reset or ""
        try:
            return urllib3.Retry().parse_retry_after(value)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return None

    def require_object(self) -> None:
        """Raise unless the body is a JSON object: later if it was cut off, at once if it never was one."""
        if isinstance(self.body, dict):
            return
        cut_off = self.body is None and "json" in self.headers.get("Content-Type", "")
        kind = GenesysRetryableError if cut_off else GenesysFatalError
        msg = f"Genesys answered {self.place} with something that is no JSON object: is the host wrong?"
        raise kind(msg, status=self.status, correlation_id=self.correlation_id)

    def error(self) -> GenesysError:
        """Return the failure that this answer tells of."""
        code = error_code(self.body)
        message = f"Genesys answered {self.place} with {self.status}"
        if 300 <= self.status < 400:
            message += ", a redirect, which is not followed"
        elif code is None:
            message += " and no JSON: is a proxy in between, or the host wrong?"
        else:
            message += f" {code}{self._hint()}"
        if self.correlation_id:
            message += f" (correlation id {self.correlation_id})"
        error = classify(self.status, code)(
            message, status=self.status, code=code, correlation_id=self.correlation_id
        )
        if isinstance(error, GenesysRetryableError):
            error.retry_after = self.retry_after
        return error

    def _hint(self) -> str:
        """Return what an operator should look at."""
        if self.status == 401:
            return ": is the OAuth client active, and may this machine's address use it?"
        if self.status == 403:
            lacking = ", ".join(named_permissions(self.body)) or "the permission"
            return f": give a role of the OAuth client {lacking}"
        return ""


def open_session(session: requests.Session | None = None) -> requests.Session:
    """Return a session (`session`, if given) that takes nothing from the environment.

    A `.netrc` would replace the token, a proxy variable would reroute it; a session that is handed in may name its
    proxies and certificates.
    """
    if session is None:
        session = requests.Session()
        # As many connections are kept open as requests may be under way.
        session.mount("https://", HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))
        session.mount("http://", HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))
    session.trust_env = False
    session.headers.update({"User-Agent": f"contact-sync/{_version()}", "Accept": "application/json"})
    return session


@dataclass(frozen=True, slots=True)
class Wire:
    """Sends requests one at a time over connections that are kept open; safe to share between threads.

    `deadline` bounds an exchange in seconds: a body that drips in is given up, even if never silent for long.
    Silence, also before the first header, is bounded by the smaller of `READ_TIMEOUT` and `deadline`.
    """

    session: requests.Session
    clock: Callable[[], float] = time.monotonic
    deadline: float = 60.0

    def exchange(self, request: requests.Request) -> Answer:
        """Send `request` and return its answer, whatever its status.

        Raises:
            GenesysRetryableError: No answer, or not all of it, in time.
            GenesysFatalError: The request cannot be sent, or the answer is too large.
        """
        place = _place(request)
        try:
            return self._exchange(request, place)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as failure:
            lost = _lost(failure, place)
        raise lost

    def _exchange(self, request: requests.Request, place: str) -> Answer:
        ends = self.clock() + self.deadline
        prepared = self.session.prepare_request(request)
        silence = min(READ_TIMEOUT, self.deadline)
        with self.session.send(
            prepared, stream=True, allow_redirects=False, timeout=(min(CONNECT_TIMEOUT, self.deadline), silence)
        ) as response:
            body = self._read(response, ends, place)
            return Answer(place, response.status_code, response.headers, _parsed(body))

    def _read(self, response: requests.Response, ends: float, place: str) -> bytes:
        body = bytearray()
        # `read1` returns what has arrived; `iter_content` would wait for a whole chunk and never see the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > MAX_ANSWER:
                msg = f"Genesys answered {place} with more than {MAX_ANSWER} bytes: is the host wrong?"
                raise GenesysFatalError(msg, status=response.status_code)
            if self.clock() > ends:
                msg = f"Genesys did not finish its answer to {place} within {self.deadline:g} s"
                raise GenesysRetryableError(msg, status=response.status_code)
        return bytes(body)


def _place(request: requests.Request) -> str:
    """Return method, host and path of `request`; its query is not told."""
    return f"{request.method} {str(request.url).partition('://')[2]}"


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _lost(failure: Exception, place: str) -> GenesysError:
    """Translate a library's failure; only its type is told, its text may hold an address or a header."""
    kind = type(failure).__name__
    if isinstance(failure, ValueError) and isinstance(failure, requests.RequestException):
        return GenesysFatalError(f"the request {place} cannot be sent ({kind})")
    return GenesysRetryableError(f"Genesys did not answer {place} ({kind})")


def _version() -> str:
    try:
        return metadata.version("contact-sync")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "dev"
