"""Tokens of a Salesforce organisation, by client credentials or by a signed JWT.

What belongs here: getting a token, and where it may be sent. An answer names no end of the token's life: it is
used until Salesforce refuses it, and replaying what was refused is `salesforce_api`'s.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from contact_sync.crm.http import Answer, CrmRetryableError, Http, is_loopback, origin_of
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.wire import is_sendable

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT_SECONDS = 180
_INSTANCES = (".salesforce.com", ".salesforce.mil", ".sfcrmproducts.cn")
_TRANSIENT = frozenset({"unknown_error", "server_error", "temporarily_unavailable", "rate_limit_exceeded"})
_HINTS = {
    "invalid_client_id": "check SALESFORCE_CLIENT_ID",
    "invalid_client": "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET",
    "invalid_app_access": "let a permission set of the integration user use the app",
    "inactive_user": "activate the integration user",
    "unsupported_grant_type": "switch the flow on in the app's settings",
}
_GRANT_HINTS = {
    "client_credentials": "give the app's client credentials flow a user to run as, and check its IP ranges",
    "jwt_bearer": "check SALESFORCE_USERNAME, crm.salesforce.audience, the app's certificate and this clock",
}


@dataclass(frozen=True, slots=True)
class SalesforceCredentials:
    """What the login needs: of client_credentials a secret, of jwt_bearer a user name and a private key (PEM)."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    username: str = ""
    private_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """A token, and the origin to which it may be sent."""

    instance: str
    token: str = field(repr=False)


class Tokens:
    """Hands out the current token; many threads cause one login.

    Args:
        settings: The organisation.
        credentials: Who logs in.
        http: The wire.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Salesforce,
        credentials: SalesforceCredentials,
        http: Http,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._http = http
        self._now = now
        self._lock = threading.Lock()
        self._access: Access | None = None

    def access(self) -> Access:
        """Return the current token, logging in if there is none: once, since who needs a token tries again.

        Raises:
            CrmConfigurationError: The login is refused.
            CrmRetryableError: The organisation cannot be reached.
        """
        with self._lock:
            if self._access is None:
                self._access = self._granted(self._ask())
            return self._access

    def renew(self, refused: Access) -> Access:
        """Return another token than one that was refused; see `access` for what it raises."""
        with self._lock:
            if self._access == refused:
                self._access = None
        return self.access()

    def _ask(self) -> Answer:
        form = self._form()
        answer = self._http.exchange(
            requests.Request("POST", f"{self._settings.url}/services/oauth2/token", data=form)
        )
        body = answer.json()
        if answer.ok and isinstance(body, dict):
            return answer
        raise self._refusal(answer, body)

    def _form(self) -> Mapping[str, str]:
        credentials = self._credentials
        if self._settings.login == "jwt_bearer":
            return {"grant_type": _JWT_BEARER, "assertion": self._assertion()}
        return {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }

    def _assertion(self) -> str:
        try:
            import jwt  # noqa: PLC0415 -- an extra: who logs in with a secret needs no library for it
        except ImportError:
            jwt = None  # type: ignore[assignment]
        if jwt is None:
            raise CrmConfigurationError(
                "the login jwt_bearer needs PyJWT, which is not installed: pip install 'contact-sync[salesforce]'"
            )
        credentials = self._credentials
        claims = {
            "iss": credentials.client_id,
            "sub": credentials.username,
            "aud": self._settings.audience,
            "exp": int(self._now()) + _JWT_SECONDS,
        }
        key = credentials.private_key.replace("\\n", "\n")  # as a line of an .env file may have it
        try:
            return str(jwt.encode(claims, key, algorithm="RS256"))
        except (ValueError, TypeError, NotImplementedError, jwt.PyJWTError):
            problem = "SALESFORCE_PRIVATE_KEY is no private RSA key in PEM form (-----BEGIN PRIVATE KEY-----)"
        raise CrmConfigurationError(problem)

    def _granted(self, answer: Answer) -> Access:
        body = answer.json()
        token = body.get("access_token") if isinstance(body, dict) else None
        if not is_sendable(token):
            raise CrmConfigurationError(f"{answer.place} answered without a token: check crm.salesforce.url")
        return Access(self._instance(body.get("instance_url") if isinstance(body, dict) else None), token)

    def _instance(self, named: object) -> str:
        """Return the origin that the login named: Salesforce's, or this machine's if the login was there."""
        try:
            origin = origin_of(str(named))
        except ValueError:
            origin = ""
        host = urlsplit(origin).hostname or ""
        local = is_loopback(urlsplit(self._settings.url).hostname or "")
        if origin and (is_loopback(host) if local else host.endswith(_INSTANCES)):
            return origin
        raise CrmConfigurationError(
            f"the login at {self._settings.url} named an instance that is not Salesforce's"
        )

    def _refusal(self, answer: Answer, body: object) -> CrmError:
        code = body.get("error") if isinstance(body, dict) else None
        if not isinstance(code, str) or not re.fullmatch(r"[a-z_]{1,60}", code):
            if answer.status < 500 and isinstance(body, dict):
                return CrmConfigurationError(f"{answer.place} refuses the login ({answer.status})")
            return CrmRetryableError(
                f"Salesforce answered {answer.place} with {answer.status} and no JSON", answer.retry_after
            )
        if code in _TRANSIENT or answer.status >= 500 or answer.status == 429:
            return CrmRetryableError(f"{answer.place} is not available ({code})", answer.retry_after)
        hint = _HINTS.get(code) or _GRANT_HINTS[self._settings.login]
        return CrmConfigurationError(f"{answer.place} refuses the login ({code}): {hint}")
