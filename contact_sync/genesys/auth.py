"""The access token of an OAuth client (client credentials grant).

What belongs here: getting a token, keeping it, replacing it in time, and telling an operator which setting is
wrong. When to replay a request that met a 401 is the transport's decision.
"""

import threading
import time
from collections.abc import Callable

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from contact_sync.genesys.answers import as_object, as_text, as_word
from contact_sync.genesys.errors import GenesysError, GenesysFatalError, GenesysRetryableError, classify
from contact_sync.genesys.regions import Hosts
from contact_sync.genesys.wire import Answer, Wire, open_session

MARGIN = 300.0  # seconds before its end that a token is replaced, or a tenth of its life if that is less


class BearerAuth(AuthBase):
    """Puts a token on a request; as an auth object it cannot be overruled by a `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return `request` with the token on it."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class TokenManager:
    """Hands out the current token; many threads cause one refresh.

    Args:
        hosts: Where the client is known.
        client_id: GENESYS_CLIENT_ID.
        client_secret: GENESYS_CLIENT_SECRET.
        session: Carries proxies and certificates, if any are needed.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        hosts: Hosts,
        client_id: str,
        client_secret: str,
        *,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hosts = hosts
        # As bytes: requests would encode text as Latin-1.
        self._credentials = HTTPBasicAuth(client_id.encode(), client_secret.encode())
        self._wire = Wire(open_session(session))
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh_at = 0.0

    def __repr__(self) -> str:
        return f"TokenManager({self._hosts.region})"

    def token(self) -> str:
        """Return a token that is good for a while yet, fetching one if need be.

        Raises:
            GenesysFatalError: The client is not known here, or its secret is wrong.
            GenesysRetryableError: The login host is throttled or out of reach.
        """
        with self._lock:
            if self._token is None or self._clock() >= self._refresh_at:
                asked = self._clock()
                self._token, life = self._fetch()
                self._refresh_at = asked + life - min(MARGIN, life / 10)
            return self._token

    def invalidate(self, token: str) -> None:
        """Forget `token`, which met a 401, unless another thread has replaced it already."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _fetch(self) -> tuple[str, float]:
        """Return a new token and its life in seconds: 300 s to 48 h, as the administrator chose."""
        request = requests.Request(
            "POST",
            f"{self._hosts.login}/oauth/token",
            auth=self._credentials,
            data={"grant_type": "client_credentials"},
        )
        answer = self._wire.exchange(request)
        if not answer.ok:
            raise _refusal(answer, self._hosts.region)
        body = as_object(answer.body)
        token, life = as_text(body.get("access_token")), body.get("expires_in")
        # http.client would quote a token that cannot be a header in its exception.
        sendable = token is not None and token.isascii() and token.isprintable()
        if token is None or not sendable or not isinstance(life, int | float) or life <= 0:
            msg = f"{answer.place} answered without a token: check GENESYS_REGION"
            raise GenesysFatalError(msg, status=answer.status)
        return token, float(life)


def _refusal(answer: Answer, region: str) -> GenesysError:
    """Return why there is no token. The login host says it in words, with 400 or 401 alike."""
    body = as_object(answer.body)
    words = f"{body.get('description')} {body.get('error_description')}".lower()
    if "client not found" in words:
        return GenesysFatalError(
            f"the region {region} does not know this client: check GENESYS_REGION and GENESYS_CLIENT_ID",
            status=answer.status,
            code=as_word(body.get("error")),
        )
    if "authentication failed" in words:
        return GenesysFatalError(
            f"the region {region} knows this client but refuses its secret: check GENESYS_CLIENT_SECRET",
            status=answer.status,
            code=as_word(body.get("error")),
        )
    if "rate limit" in words or classify(answer.status, "") is GenesysRetryableError:
        return GenesysRetryableError(
            f"{answer.place} is throttled or unavailable ({answer.status})",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    return GenesysFatalError(
        f"{answer.place} refuses this client ({answer.status} {as_word(body.get('error')) or 'unknown'}): check "
        "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET; is the client active, and for Client Credentials?",
        status=answer.status,
        code=as_word(body.get("error")),
    )
