"""Tokens of Microsoft Entra ID for an application, by the client credentials flow of the v2 endpoint.

What belongs here: getting a token, keeping it for its life, and saying in one line why there is none.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from contact_sync.crm.dynamics_settings import Dynamics
from contact_sync.crm.http import Answer, Http
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.wire import is_sendable

MARGIN = 300.0  # seconds before its end; a token is replaced then, or at the last tenth of a short life

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
_REASONS = {
    "AADSTS90002": "the tenant is not known: check DYNAMICS_TENANT_ID",
    "AADSTS700016": "the tenant has no such app registration: check DYNAMICS_CLIENT_ID and DYNAMICS_TENANT_ID",
    "AADSTS7000215": "the secret is wrong: check DYNAMICS_CLIENT_SECRET (the secret's value, not its id)",
    "AADSTS7000222": "the secret has expired: add a new one to the app registration",
    "AADSTS7000112": "the application is disabled: enable it in Entra ID",
    "AADSTS500011": "the tenant does not know the environment: check crm.dynamics.url and DYNAMICS_TENANT_ID",
}


@dataclass(frozen=True, slots=True)
class AppCredentials:
    """What DYNAMICS_TENANT_ID, DYNAMICS_CLIENT_ID and DYNAMICS_CLIENT_SECRET say.

    Raises:
        CrmConfigurationError: The tenant is neither an id nor a domain.
    """

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _TENANT.fullmatch(self.tenant_id):
            raise CrmConfigurationError("DYNAMICS_TENANT_ID is neither the id nor the domain of a tenant")


@dataclass(frozen=True, slots=True)
class _Grant:
    token: str = field(repr=False)
    refresh_at: float


class EntraTokens:
    """Hands out the current token; a token is replaced ahead of its end.

    Args:
        http: Sends the requests.
        settings: The environment, and where tokens come from.
        credentials: The app registration.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        http: Http,
        settings: Dynamics,
        credentials: AppCredentials,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._grant: _Grant | None = None

    def token(self) -> str:
        """Return a token that is good for a while yet.

        Raises:
            CrmRetryableError: The login host is throttled or out of reach.
            CrmConfigurationError: It refuses the application.
        """
        if self._grant is None or self._clock() >= self._grant.refresh_at:
            self._grant = self._fetch()
        return self._grant.token

    def forget(self, token: str) -> None:
        """Give up `token`, which was refused before its time."""
        if self._grant and self._grant.token == token:
            self._grant = None

    def _fetch(self) -> _Grant:
        asked = self._clock()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "scope": f"{self._settings.url}/.default",
        }
        url = f"{self._settings.login_url}/{self._credentials.tenant_id}/oauth2/v2.0/token"
        answer = self._http.exchange(requests.Request("POST", url, data=form))
        body = answer.json()
        if not answer.ok or not isinstance(body, dict):
            raise _refusal(answer, body)
        token, life = body.get("access_token"), body.get("expires_in")
        if not is_sendable(token) or not isinstance(life, int) or life <= 0:
            raise CrmConfigurationError(f"{answer.place} answered without a token: check crm.dynamics.login_url")
        return _Grant(token, asked + life - min(MARGIN, life / 10))


def _refusal(answer: Answer, body: object) -> CrmError:
    """Return why there is no token; of Entra's words only the code is told, the rest may name people."""
    if answer.ok or answer.status in {408, 429} or answer.status >= 500:
        return answer.transient()
    words = str(body.get("error_description")) if isinstance(body, dict) else ""
    found = re.match(r"AADSTS\d{1,9}", words)
    code = found[0] if found else "no reason that is known"
    why = _REASONS.get(code, "check DYNAMICS_TENANT_ID, DYNAMICS_CLIENT_ID and DYNAMICS_CLIENT_SECRET")
    return CrmConfigurationError(f"Entra ID gives no token ({answer.status}, {code}): {why}")
