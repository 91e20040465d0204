"""Who may call, and how often: the v2 token endpoint, its tokens, and service protection.

What belongs here: issuing and checking tokens, and counting the requests of a user. HTTP belongs to `door`.
"""

import math
import secrets
from collections import defaultdict, deque
from collections.abc import Mapping

from contact_sync.simulator.dataverse.errors import THROTTLED, Json, ODataError
from contact_sync.simulator.dataverse.settings import DataverseSettings

REQUESTS = "0x80072322"


class TokenRefusedError(Exception):
    """No token is given."""

    def __init__(self, status: int, error: str, code: int, description: str) -> None:
        super().__init__(error)
        self.status = status
        self._error = error
        self._code = code
        self._description = description

    def body(self) -> Json:
        """Return the error object, as Entra ID words it."""
        return {
            "error": self._error,
            "error_description": f"AADSTS{self._code}: {self._description} Trace ID: 0f0e0d0c-0b0a-0908-0706",
            "error_codes": [self._code],
        }


class Access:
    """The tokens of one directory, and the requests that each application user has made lately.

    Attributes:
        issued: Tokens that were given.
    """

    def __init__(self, settings: DataverseSettings) -> None:
        self._settings = settings
        self._live: dict[str, tuple[str, float]] = {}
        self._lately: defaultdict[str, deque[float]] = defaultdict(deque)
        self.issued = 0

    def issue(self, tenant: str, form: Mapping[str, str], resource: str) -> Json:
        """Return the answer of the token endpoint.

        Raises:
            TokenRefusedError: With the reason of Entra ID.
        """
        if tenant != self._settings.tenant_id:
            raise TokenRefusedError(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            raise TokenRefusedError(
                400, "unsupported_grant_type", 70003, "The app requested an unsupported grant."
            )
        client = form.get("client_id", "")
        if client not in self._settings.clients:
            message = f"Application with identifier '{client}' was not found in the directory."
            raise TokenRefusedError(400, "unauthorized_client", 700016, message)
        given = form.get("client_secret", "")
        if not secrets.compare_digest(self._settings.clients[client].encode(), given.encode()):
            message = f"Invalid client secret provided for app '{client}'."
            raise TokenRefusedError(401, "invalid_client", 7000215, message)
        self._check_scope(form.get("scope", ""), resource)
        value, life = secrets.token_urlsafe(48), self._settings.token_seconds
        self._live[value] = (client, self._settings.clock() + life)
        self.issued += 1
        return {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": value}

    def client_of(self, authorization: str) -> str | None:
        """Return whose token a header carries; None if it carries none that is good."""
        scheme, _, value = authorization.partition(" ")
        client, ends = self._live.get(value, ("", 0.0)) if scheme == "Bearer" else ("", 0.0)
        return client if ends > self._settings.clock() else None

    def revoke_all(self) -> None:
        """Make every token useless."""
        self._live.clear()

    def spend(self, client: str) -> None:
        """Count a request.

        Raises:
            ODataError: 429: too many within the window.
        """
        now, times = self._settings.clock(), self._lately[client]
        while times and times[0] <= now - self._settings.window_seconds:
            times.popleft()
        if len(times) >= self._settings.requests_per_window:
            wait = times[0] + self._settings.window_seconds - now
            raise ODataError(429, REQUESTS, THROTTLED[REQUESTS], max(1, math.ceil(wait)))
        times.append(now)

    def _check_scope(self, scope: str, resource: str) -> None:
        named, slash, default = scope.rpartition("/")
        if not slash or default != ".default":
            message = f"The provided value for scope '{scope}' is not valid."
            raise TokenRefusedError(400, "invalid_scope", 1002012, message)
        if named != resource:
            message = f"The resource principal named {named} was not found in the tenant."
            raise TokenRefusedError(400, "invalid_resource", 500011, message)
