"""HTTP of the CRM sources: one exchange bounded in time and size, and its repetition where that helps.

What belongs here: the session, the wire, the pauses between attempts, and which addresses a credential may go to.
What an answer means belongs to each source. No value of a record, no query and no body is in any error.

Errors are raised outside the `except` blocks that catch them, so that no library's exception, with an address or a
header in its text, hangs on as context.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from importlib import metadata
from ipaddress import ip_address
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmUnavailableError

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 130.0  # seconds of silence; Salesforce itself ends a query after 120
MAX_ANSWER = 64 * 1024 * 1024  # bytes, unpacked; a page of 5,000 records is far below
PATIENCE = 120.0  # seconds; who asks for a longer wait is left to the next run
ATTEMPTS = 5
_CHUNK = 64 * 1024

_log = logging.getLogger(__name__)
_backoff = wait_exponential_jitter(max=30, jitter=1)


class CrmRetryableError(CrmUnavailableError):
    """The CRM did not answer this time; `retry_after` is the seconds that it asked to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BearerAuth(AuthBase):
    """Puts a token on a request; as an auth object it cannot be overruled by a `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return `request` with the token on it."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


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

    def json(self) -> object:
        """Return the body as JSON, fractions as exact decimals; None if it is none, such as a page of HTML."""
        return self._parsed

    @cached_property
    def _parsed(self) -> object:
        try:
            return json.loads(self.content, parse_float=Decimal)
        except (ValueError, RecursionError):
            return None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the answer says so."""
        try:
            return urllib3.Retry().parse_retry_after(self.headers.get("Retry-After", ""))
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            return None

    def transient(self) -> CrmRetryableError:
        """Return the failure that this answer tells of, for one that may pass."""
        return CrmRetryableError(f"the CRM answered {self.place} with {self.status}", self.retry_after)


class Http:
    """Sends requests one at a time over connections that are kept open.

    Args:
        session: Carries proxies and certificates, if any are needed.
        clock: Monotonic seconds.
        sleep: Waits for a number of seconds.
        deadline: Seconds for one exchange: a body that drips in is given up, even if never silent for long.
        attempts: How often a call is tried.
    """

    def __init__(
        self,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        deadline: float = 300.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._session = session or requests.Session()
        # A `.netrc` would replace the token, a proxy variable would reroute it.
        self._session.trust_env = False
        self._session.headers.update({"User-Agent": f"contact-sync/{_version()}", "Accept": "application/json"})
        self._clock = clock
        self.sleep = sleep
        self._deadline = deadline
        self._attempts = attempts

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def repeated(self, attempt: Callable[[], Answer]) -> Answer:
        """Return what `attempt` does, tried again while it raises a `CrmRetryableError`.

        Raises:
            CrmRetryableError: Still failing after the last attempt, or a wait longer than `PATIENCE`.
            CrmError: Whatever else `attempt` raises.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_pause_between,
            retry=retry_if_exception(_worth_repeating),
            sleep=self.sleep,
            before_sleep=_announce,
            reraise=True,
        )
        return retrying(attempt)

    def exchange(self, request: requests.Request) -> Answer:
        """Send `request` once and return its answer, whatever its status.

        Raises:
            CrmRetryableError: No answer, or not all of it, in time.
            CrmConfigurationError: The request cannot be sent, or the answer is a redirect or too large.
        """
        place = _place(request)
        try:
            return self._exchange(request, place)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as failure:
            lost = _lost(failure, place)
        raise lost

    def _exchange(self, request: requests.Request, place: str) -> Answer:
        ends = self._clock() + self._deadline
        prepared = self._session.prepare_request(request)
        timeout = (min(CONNECT_TIMEOUT, self._deadline), min(READ_TIMEOUT, self._deadline))
        with self._session.send(prepared, stream=True, allow_redirects=False, timeout=timeout) as response:
            if 300 <= response.status_code < 400:
                raise CrmConfigurationError(
                    f"the CRM answered {place} with {response.status_code}, a redirect, which is not followed: "
                    "is the host of the settings right?"
                )
            content = self._read(response, ends, place)
            return Answer(place, response.status_code, response.headers, content)

    def _read(self, response: requests.Response, ends: float, place: str) -> bytes:
        content = bytearray()
        # `read1` returns what has arrived; `iter_content` would wait for a whole chunk and never see the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > MAX_ANSWER:
                raise CrmConfigurationError(
                    f"the CRM answered {place} with more than {MAX_ANSWER} bytes: is the host right?"
                )
            if self._clock() > ends:
                raise CrmRetryableError(f"the CRM did not finish its answer to {place} in {self._deadline:g} s")
        return bytes(content)


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address that a credential may be sent to.

    Raises:
        ValueError: It is neither https nor on this machine, or carries a user name or is no address at all.
    """
    parts = urlsplit(url)
    port = parts.port  # raises if it is none
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("write an address such as https://host")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("the address has to be https; http is for a simulator on this machine")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_same_origin(link: str, origin: str) -> None:
    """Refuse a link to another host: the token would go there.

    Raises:
        CrmConfigurationError: It leads elsewhere.
    """
    try:
        leads_home = origin_of(link) == origin
    except ValueError:
        leads_home = False
    if not leads_home:
        raise CrmConfigurationError(
            f"the CRM at {origin} named a page on another host, which is not followed: is a proxy in between?"
        )


def _place(request: requests.Request) -> str:
    """Return method, host and path of `request`; its query is not told."""
    return f"{request.method} {str(request.url).partition('://')[2].partition('?')[0]}"


def _lost(failure: Exception, place: str) -> CrmError:
    """Translate a library's failure; only its type is told, its text may hold an address or a header."""
    kind = type(failure).__name__
    if isinstance(failure, ValueError) and isinstance(failure, requests.RequestException):
        return CrmConfigurationError(f"the request {place} cannot be sent ({kind}): check the CRM's address")
    return CrmRetryableError(f"the CRM did not answer {place} ({kind})")


def _worth_repeating(error: BaseException) -> bool:
    return isinstance(error, CrmRetryableError) and (error.retry_after or 0.0) <= PATIENCE


def _pause_between(state: RetryCallState) -> float:
    """Return the seconds to back off: what the answer asks for, else exponentially more with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, CrmRetryableError) else None
    return _backoff(state) if asked is None else asked


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("%s; attempt %d failed, trying again", error, state.attempt_number)


def _version() -> str:
    try:
        return metadata.version("contact-sync")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "dev"
