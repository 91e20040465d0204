"""One HTTP exchange with Genesys: its limits, and what its answer or its failure says.

What belongs here: reading an answer's headers, and translating every failure, of the network too, into a
`GenesysError`. No repetition, no budget, no token: see `transport` and `auth`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import requests
from requests.adapters import HTTPAdapter

from contact_sync import wire
from contact_sync.genesys.answers import as_word, error_code, named_permissions
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError, classify

READ_TIMEOUT = 30.0  # seconds of silence
MAX_CONNECTIONS = 100  # to one host; the most that delivery.concurrency may ask for
MAX_ANSWER = 16 * 1024 * 1024  # bytes, unpacked; ten whole contacts are far below
_SANE = 1_000_000_000  # no count of requests or seconds is larger


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What an answer tells of Genesys' window: requests counted and allowed, seconds until it ends."""

    count: int
    allowed: int
    reset: int


class Answer(wire.Answer):
    """An answer of Genesys."""

    @cached_property
    def body(self) -> object:
        """The answer's JSON, None if it is none."""
        return wire.parsed(self.content)

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
        return wire.seconds_asked(self.headers.get("Retry-After") or reset or "")

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


class Wire:
    """Sends requests one at a time; safe to share between threads.

    Args:
        session: Carries proxies and certificates, if any are needed.
        clock: Monotonic seconds.
        deadline: Seconds for one exchange.
    """

    def __init__(self, session: requests.Session | None, clock: Callable[[], float], deadline: float) -> None:
        self._wire = wire.Wire(
            session or _session(), clock=clock, deadline=deadline, silence=READ_TIMEOUT, limit=MAX_ANSWER
        )

    def exchange(self, request: requests.Request) -> Answer:
        """Send `request` and return its answer, whatever its status.

        Raises:
            GenesysRetryableError: No answer, or not all of it, in time.
            GenesysFatalError: The request cannot be sent, or the answer is too large.
        """
        answer = self._wire.exchange(request)
        if not isinstance(answer, wire.Answer):
            raise error_of(answer)
        return Answer(answer.place, answer.status, answer.headers, answer.content)


def error_of(failure: wire.Failure) -> GenesysError:
    """Return what an operator is told of an exchange without an answer."""
    match failure:
        case wire.Unsendable(place, kind):
            return GenesysFatalError(f"the request {place} cannot be sent ({kind})")
        case wire.Unanswered(place, kind):
            return GenesysRetryableError(f"Genesys did not answer {place} ({kind})")
        case wire.Unfinished(place, status, deadline):
            msg = f"Genesys did not finish its answer to {place} within {deadline:g} s"
            return GenesysRetryableError(msg, status=status)
        case wire.TooLarge(place, status, limit):
            msg = f"Genesys answered {place} with more than {limit} bytes: is the host wrong?"
            return GenesysFatalError(msg, status=status)


def _session() -> requests.Session:
    """Return a session that keeps as many connections open as requests may be under way."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))
    return session
