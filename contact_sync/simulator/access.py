"""Who may call, and how often: OAuth tokens and the request budget.

What belongs here: issuing, checking and revoking tokens, and counting requests. Reading them from HTTP and writing
the headers is the door's work.
"""

import base64
import binascii
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from contact_sync.simulator.errors import ApiError, Json
from contact_sync.simulator.settings import TwinSettings

WINDOW_SECONDS = 60


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
    """A live token; `expires_at` is in epoch seconds."""

    value: str
    client_id: str
    expires_at: float


class Tokens:
    """Issues tokens to known clients and recognises them again."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self._live: dict[str, Token] = {}

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
        token = Token(secrets.token_urlsafe(48), client_id, self._settings.clock() + life)
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
    """Counts requests in fixed windows of 60 s, each opened by the first request after the last one closed."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self._windows: dict[str, _Window] = {}

    def spend(self, token: Token) -> Allowance:
        """Count one request of `token`; a refused request is not counted."""
        key = token.value if self._settings.rate_limit_per == "token" else token.client_id
        now = self._settings.clock()
        window = self._windows.get(key)
        if window is None or now - window.opened >= WINDOW_SECONDS:
            window = self._windows[key] = _Window(now)
        allowed = self._settings.requests_per_minute
        exceeded = window.used >= allowed
        window.used += not exceeded
        reset = max(1, math.ceil(window.opened + WINDOW_SECONDS - now))
        return Allowance(window.used, allowed, reset, exceeded)
