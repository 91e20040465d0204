"""The access token of an OAuth client (client credentials grant).

What belongs here: getting a token, keeping it, replacing it in time, and telling an operator which setting is
wrong. When to replay a request that met a 401 is the transport's decision.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests
from requests.auth import HTTPBasicAuth

from contact_sync.genesys.answers import as_object, as_word
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError, classify
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.wire import Answer, Wire
from contact_sync.wire import is_sendable

MARGIN = 300.0  # seconds before its end that a token is replaced, or a tenth of its life if that is less
COOLDOWN = 1.0  # seconds that a failed login host is left alone, unless it says how long

_log = logging.getLogger(__name__)


class UnknownClientError(GenesysFatalError):
    """The region does not know the OAuth client: another one does, or none."""


class WrongSecretError(GenesysFatalError):
    """The region knows the OAuth client, and refuses its secret."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """A token, when to replace it and when it ends, on the manager's clock."""

    token: str = field(repr=False)
    refresh_at: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class _Outage:
    """A failed refresh, and the moment before which the login host is not asked again."""

    error: GenesysRetryableError
    until: float

    def again(self, now: float) -> GenesysRetryableError:
        """Return the failure for somebody who asks at `now`."""
        error = self.error
        left = None if error.retry_after is None else self.until - now
        return GenesysRetryableError(str(error), status=error.status, code=error.code, retry_after=left)


class TokenManager:
    """Hands out the current token; many threads cause one refresh, and one failure when it fails.

    A token is replaced ahead of its end. While it lasts, a login host that is throttled or out of reach is no
    error: the token is used on, and the host asked again a little later.

    Args:
        hosts: Where the client is known.
        client_id: GENESYS_CLIENT_ID.
        client_secret: GENESYS_CLIENT_SECRET.
        session: Carries proxies and certificates, if any are needed.
        clock: Monotonic seconds.
        deadline: Seconds for one exchange with the login host.
        setting: What chose the region, for the message that it does not know the client.
    """

    def __init__(
        self,
        hosts: Hosts,
        client_id: str,
        client_secret: str,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 60.0,
        setting: str = "GENESYS_REGION",
    ) -> None:
        self._hosts = hosts
        # As bytes: requests would encode text as Latin-1.
        self._credentials = HTTPBasicAuth(client_id.encode(), client_secret.encode())
        self._wire = Wire(session, clock, deadline)
        self._clock = clock
        self._setting = setting
        self._lock = threading.Lock()
        self._grant: _Grant | None = None
        self._outage: _Outage | None = None

    def __repr__(self) -> str:
        return f"TokenManager({self._hosts.region})"

    def token(self) -> str:
        """Return a token that is good for a while yet, fetching one if need be.

        Raises:
            UnknownClientError: The client is not known here.
            WrongSecretError: Its secret is wrong.
            GenesysFatalError: The login host refuses the client, or is none.
            GenesysRetryableError: It is throttled or out of reach, and no token is left.
        """
        grant, now = self._grant, self._clock()
        if grant and (now < grant.refresh_at or (now < grant.ends_at and self._lock.locked())):
            return grant.token  # fresh, or another thread is busy replacing it
        with self._lock:
            return self._current()

    def remaining(self) -> float:
        """Return the seconds that the current token has left; 0 without one."""
        return max(0.0, self._grant.ends_at - self._clock()) if self._grant else 0.0

    def invalidate(self, token: str) -> None:
        """Forget `token`, which met a 401, unless another thread has replaced it already."""
        with self._lock:
            if self._grant and self._grant.token == token:
                self._grant = None
                if self._outage and self._outage.error.retry_after is None:
                    self._outage = None  # it could wait while there was a token

    def _current(self) -> str:
        """Return the token, replaced if it is time to; called under the lock."""
        try:
            return self._fresh()
        except GenesysRetryableError:
            if self._grant is None or self._clock() >= self._grant.ends_at:
                raise
            return self._grant.token

    def _fresh(self) -> str:
        now = self._clock()
        if self._grant and now < self._grant.refresh_at:
            return self._grant.token
        if self._outage and now < self._outage.until:
            raise self._outage.again(now)
        try:
            self._grant = self._fetch()
        except GenesysRetryableError as error:
            self._outage = _Outage(error, self._clock() + self._pause(error))
            if self.remaining():
                _log.warning("%s: the present token is used on", error)
            raise
        return self._grant.token

    def _pause(self, error: GenesysRetryableError) -> float:
        """Return the seconds for which nobody asks again: a tenth of what the current token has left."""
        return max(COOLDOWN, self.remaining() / 10) if error.retry_after is None else error.retry_after

    def _fetch(self) -> _Grant:
        """Return a new token; it lives 300 s to 48 h, as the administrator chose."""
        asked = self._clock()
        request = requests.Request(
            "POST",
            f"{self._hosts.login}/oauth/token",
            auth=self._credentials,
            data={"grant_type": "client_credentials"},
        )
        answer = self._wire.exchange(request)
        if not answer.ok:
            raise _refusal(answer, self._hosts.region, self._setting)
        body = as_object(answer.body)
        token, life = body.get("access_token"), body.get("expires_in")
        if not is_sendable(token) or not isinstance(life, int | float) or life <= 0:
            msg = f"{answer.place} answered without a token: check {self._setting}"
            raise GenesysFatalError(msg, status=answer.status)
        return _Grant(token, asked + life - min(MARGIN, life / 10), asked + life)


def _refusal(answer: Answer, region: str, setting: str) -> GenesysError:
    """Return why there is no token. The login host says it in words, with 400 or 401 alike."""
    body = as_object(answer.body)
    words = f"{body.get('description')} {body.get('error_description')}".lower()
    code = as_word(body.get("error"))
    if "client not found" in words:
        return UnknownClientError(
            f"the region {region} does not know this client: check {setting} and GENESYS_CLIENT_ID",
            status=answer.status,
            code=code,
        )
    if "authentication failed" in words:
        return WrongSecretError(
            f"the region {region} knows this client but refuses its secret: check GENESYS_CLIENT_SECRET",
            status=answer.status,
            code=code,
        )
    if "rate limit" in words or classify(answer.status, "") is GenesysRetryableError:
        return GenesysRetryableError(
            f"{answer.place} is throttled or unavailable ({answer.status})",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    return GenesysFatalError(
        f"{answer.place} refuses this client ({answer.status} {code or 'unknown'}): check "
        "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET; is the client active, and for Client Credentials?",
        status=answer.status,
        code=code,
    )
