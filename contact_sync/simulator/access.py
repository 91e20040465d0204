"""Who may call, and how often: OAuth tokens and the request budget.

What belongs here: issuing, checking and revoking tokens, and counting requests. Reading them from HTTP and writing
the headers is the door's work.
"""

import base64
import binascii
import math
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from contact_sync.simulator.errors import ApiError, Json
from contact_sync.simulator.settings import TwinSettings


class TokenRefusedError(Exception):
    """No token is given; `error` and `description` are OAuth's."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def body(self) -> Json:
        """Return the token endpoint's error body."""
        return {"error": self.error, "description": self.description, "error_description": self.description}


@dataclass(frozen=True, slots=True)
class Token:
    """A live token; `name` tells it from others without giving it away, `expires_at` is in epoch seconds."""

    value: str = field(repr=False)
    name: str
    client_id: str
    expires_at: float


class Tokens:
    """Issues tokens to known clients and recognises them again."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self._live: dict[str, Token] = {}
        self._issued = 0

    def issue(self, form: Mapping[str, str], authorization: str) -> Json:
        """Return the answer of the token endpoint.

        Raises:
            TokenRefusedError: Another grant, an unknown client or a wrong secret.
        """
        if form.get("grant_type") != "client_credentials":
            raise TokenRefusedError("unsupported_grant_type", "unsupported grant type")
        client_id, secret = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        expected = self._settings.clients.get(client_id)
        if expected is None:
            raise TokenRefusedError("invalid_client", "client not found")
        if not secrets.compare_digest(expected.encode(), secret.encode()):
            raise TokenRefusedError("invalid_client", "authentication failed")
        life = self._settings.token_seconds
        self._issued += 1
        name = f"{client_id}/{self._issued}"
        token = Token(secrets.token_urlsafe(48), name, client_id, self._settings.clock() + life)
        self._live[token.value] = token
        return {"access_token": token.value, "token_type": "bearer", "expires_in": life}

    def check(self, authorization: str) -> Token:
        """Return the token of an `Authorization` header.

        Raises:
            ApiError: 401 when it is missing, unknown, expired or revoked.
        """
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer" or not value:
            message = "No authentication bearer token specified in authorization header."
            raise ApiError(401, "authentication.required", message)
        token = self._live.get(value.strip())
        if token is None or token.expires_at <= self._settings.clock():
            raise ApiError(401, "bad.credentials", "Invalid login credentials.")
        return token

    def revoke(self, token: Token) -> None:
        """Make `token` useless."""
        self._live.pop(token.value, None)


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return client_id, secret


@dataclass(slots=True)
class _Window:
    opened: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request: the values of the `inin-ratelimit-*` headers; `reset` in whole seconds."""

    count: int
    allowed: int
    reset: int
    exceeded: bool

    def headers(self) -> dict[str, str]:
        """Return the headers of an answer."""
        return {
            "inin-ratelimit-count": str(self.count),
            "inin-ratelimit-allowed": str(self.allowed),
            "inin-ratelimit-reset": str(self.reset),
        }

    def require(self) -> None:
        """Raise the 429 if the budget was used up.

        Raises:
            ApiError: 429 with the seconds until the window closes.
        """
        if self.exceeded:
            message = f"Rate limit exceeded the maximum. Retry the request in [{self.reset}] seconds"
            raise ApiError(429, "too.many.requests.retry.after", message, retry_after=self.reset)


class RequestBudget:
    """Counts requests in fixed windows, each opened by the first request after the last one closed."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self._open: dict[str, _Window] = {}
        self._closed: defaultdict[str, list[int]] = defaultdict(list)

    def spend(self, token: Token) -> Allowance:
        """Count one request of `token`; a refused request is not counted."""
        window = self._window(self._key(token))
        exceeded = window.used >= self._settings.requests_per_minute
        window.used += not exceeded
        self._open[self._key(token)] = window
        return self._allowance(window, exceeded=exceeded)

    def look(self, token: Token) -> Allowance:
        """Return what `token` has left, counting nothing."""
        return self._allowance(self._window(self._key(token)), exceeded=False)

    def used(self) -> Json:
        """Return the requests counted, by token or client: of each closed window, and of the open one."""
        for key in list(self._open):
            self._window(key)  # closes it if its time is up
        keys = sorted(self._closed.keys() | self._open.keys())
        current = {key: window.used for key, window in self._open.items()}
        return {key: {"closed": self._closed.get(key, []), "open": current.get(key, 0)} for key in keys}

    def forget_closed(self) -> None:
        """Start the lists of closed windows anew."""
        self._closed.clear()

    def _key(self, token: Token) -> str:
        return token.name if self._settings.rate_limit_per == "token" else token.client_id

    def _window(self, key: str) -> _Window:
        """Return the open window of `key`, or one that would open now."""
        now = self._settings.clock()
        window = self._open.get(key, _Window(now))
        if now - window.opened < self._settings.window_seconds:
            return window
        self._closed[key].append(self._open.pop(key).used)
        return _Window(now)

    def _allowance(self, window: _Window, *, exceeded: bool) -> Allowance:
        closes = window.opened + self._settings.window_seconds
        reset = max(1, math.ceil(closes - self._settings.clock()))
        return Allowance(window.used, self._settings.requests_per_minute, reset, exceeded)
