"""Who may call, and how often: OAuth tokens and the requests of a day.

What belongs here: issuing, checking and revoking tokens, and counting. Reading them from HTTP is the door's work.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from contact_sync.simulator.salesforce.errors import ApiError, Json, TokenRefusedError
from contact_sync.simulator.salesforce.settings import App, OrgSettings

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST = 180.0  # seconds that a JWT may be good for


@dataclass(slots=True)
class _Session:
    used_at: float


class Access:
    """The tokens of the organisation, and what is left of its daily requests; safe to share between threads."""

    def __init__(self, settings: OrgSettings) -> None:
        self._settings = settings
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self.used = settings.used_before
        self.issued = 0

    @property
    def tokens(self) -> list[str]:
        """The live tokens."""
        return list(self._sessions)

    def issue(self, form: Mapping[str, str], base_url: str) -> Json:
        """Return the answer of the token endpoint, which names no end of the token's life.

        Raises:
            TokenRefusedError: The app, its secret or its JWT is not in order.
        """
        grant = form.get("grant_type")
        if grant == "client_credentials":
            self._check_secret(form)
        elif grant == JWT_BEARER:
            self._check_assertion(form.get("assertion", ""))
        else:
            raise TokenRefusedError("unsupported_grant_type", "grant type not supported")
        token = f"00D5g00000ABCDE!{secrets.token_urlsafe(48)}"
        with self._lock:
            self.issued += 1
            self._sessions[token] = _Session(self._settings.clock())
        return {
            "access_token": token,
            "signature": secrets.token_urlsafe(32),
            "scope": "api",
            "instance_url": base_url,
            "id": f"{base_url}/id/00D5g00000ABCDEEA4/0055g00000FGHIJAA4",
            "token_type": "Bearer",
            "issued_at": str(int(self._settings.now() * 1000)),
        }

    def check(self, authorization: str) -> str:
        """Return the token of an `Authorization` header.

        Raises:
            ApiError: 401 when it is missing, unknown, expired or revoked.
        """
        scheme, _, token = authorization.partition(" ")
        now = self._settings.clock()
        with self._lock:
            session = self._sessions.get(token) if scheme == "Bearer" else None
            if session is None or session.used_at + self._settings.token_seconds <= now:
                raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
            session.used_at = now
        return token

    def revoke(self, token: str) -> None:
        """Make a token useless."""
        with self._lock:
            self._sessions.pop(token, None)

    def spend(self) -> None:
        """Count one API request.

        Raises:
            ApiError: 403 when those of the day are used up.
        """
        with self._lock:
            if self.used >= self._settings.daily_requests:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self.used += 1

    def limit_info(self) -> str:
        """Return the value of the header Sforce-Limit-Info."""
        return f"api-usage={self.used}/{self._settings.daily_requests}"

    def _app(self, key: str) -> App:
        app = self._settings.apps.get(key)
        if app is None:
            raise TokenRefusedError("invalid_client_id", "client identifier invalid")
        return app

    def _check_secret(self, form: Mapping[str, str]) -> None:
        app = self._app(form.get("client_id", ""))
        if not secrets.compare_digest(app.secret.encode(), form.get("client_secret", "").encode()):
            raise TokenRefusedError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str) -> None:
        import jwt  # noqa: PLC0415 -- only who tries this flow needs the library

        try:
            key = str(jwt.decode(assertion, options={"verify_signature": False}).get("iss"))
            app = self._app(key)
            claims = jwt.decode(
                assertion,
                app.public_key,
                algorithms=["RS256"],
                audience=self._settings.audience,
                options={"require": ["iss", "sub", "aud", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            reason = "audience is invalid" if isinstance(error, jwt.InvalidAudienceError) else "invalid assertion"
            raise TokenRefusedError("invalid_grant", reason) from None
        left = float(claims["exp"]) - self._settings.now()
        if not 0 < left <= _LONGEST + 60:
            raise TokenRefusedError("invalid_grant", "expired assertion")
        if claims["sub"] not in app.usernames:
            raise TokenRefusedError("invalid_app_access", "user is not admin approved to access this app")
