"""HTTP of the CRM sources: one exchange, and its repetition where that helps.

What belongs here: the limits of both, what a failure is to an operator, and which addresses a credential may go
to. What an answer means belongs to each source. No value of a record, no query and no body is in any error.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from ipaddress import ip_address
from urllib.parse import urlsplit

import requests

from contact_sync import wire
from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmUnavailableError

READ_TIMEOUT = 130.0  # seconds of silence; Salesforce itself ends a query after 120
MAX_ANSWER = 64 * 1024 * 1024  # bytes, unpacked; a page of 5,000 records is far below
PATIENCE = 120.0  # seconds; who asks for a longer wait is left to the next run
ATTEMPTS = 5


class CrmRetryableError(CrmUnavailableError, wire.PassingError):
    """The CRM did not answer this time; `retry_after` is the seconds that it asked to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Answer(wire.Answer):
    """An answer of a CRM."""

    def json(self) -> object:
        """Return the body as JSON, fractions as exact decimals; None if it is none, such as a page of HTML."""
        return self._parsed

    @cached_property
    def _parsed(self) -> object:
        return wire.parsed(self.content, Decimal)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the answer says so."""
        return wire.seconds_asked(self.headers.get("Retry-After", ""))

    def transient(self) -> CrmRetryableError:
        """Return the failure that this answer tells of, for one that may pass."""
        return CrmRetryableError(f"the CRM answered {self.place} with {self.status}", self.retry_after)


class Http:
    """Sends requests one at a time over connections that are kept open.

    Args:
        clock: Monotonic seconds.
        sleep: Waits for a number of seconds.
        deadline: Seconds for one exchange.
        attempts: How often a call is tried.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        deadline: float = 300.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._wire = wire.Wire(
            requests.Session(), clock=clock, deadline=deadline, silence=READ_TIMEOUT, limit=MAX_ANSWER
        )
        self.sleep = sleep
        self._attempts = attempts

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    def repeated(self, attempt: Callable[[], Answer]) -> Answer:
        """Return what `attempt` does, tried again while it raises a `CrmRetryableError`.

        Raises:
            CrmRetryableError: Still failing after the last attempt, or a wait longer than `PATIENCE`.
            CrmError: Whatever else `attempt` raises.
        """
        return wire.repeated(attempt, attempts=self._attempts, patience=PATIENCE, sleep=self.sleep)

    def exchange(self, request: requests.Request) -> Answer:
        """Send `request` once and return its answer, whatever its status.

        Raises:
            CrmRetryableError: No answer, or not all of it, in time.
            CrmConfigurationError: The request cannot be sent, or the answer is a redirect or too large.
        """
        answer = self._wire.exchange(request)
        if not isinstance(answer, wire.Answer):
            raise error_of(answer)
        if 300 <= answer.status < 400:
            raise CrmConfigurationError(
                f"the CRM answered {answer.place} with {answer.status}, a redirect, which is not followed: "
                "is the host of the settings right?"
            )
        return Answer(answer.place, answer.status, answer.headers, answer.content)


def error_of(failure: wire.Failure) -> CrmError:
    """Return what an operator is told of an exchange without an answer."""
    match failure:
        case wire.Unsendable(place, kind):
            return CrmConfigurationError(f"the request {place} cannot be sent ({kind}): check the CRM's address")
        case wire.Unanswered(place, kind):
            return CrmRetryableError(f"the CRM did not answer {place} ({kind})")
        case wire.Unfinished(place, _, deadline):
            return CrmRetryableError(f"the CRM did not finish its answer to {place} in {deadline:g} s")
        case wire.TooLarge(place, _, limit):
            return CrmConfigurationError(
                f"the CRM answered {place} with more than {limit} bytes: is the host right?"
            )


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
