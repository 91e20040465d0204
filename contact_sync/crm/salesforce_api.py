"""Calls of Salesforce's REST API: authorised, within the day's requests, repeated where that helps.

What belongs here: what an answer means, whatever was asked. Queries, jobs and the rest have their own modules.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests

from contact_sync.crm.http import Answer, CrmRetryableError, Http, require_same_origin
from contact_sync.crm.salesforce_auth import Access, Tokens
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmExhaustedError, CrmUnavailableError
from contact_sync.wire import BearerAuth

_TRANSIENT_STATUS = frozenset({406, 408, 420, 429})  # 406 and 420 come from Salesforce Edge
_TRANSIENT_CODES = frozenset(
    {"QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG", "SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW"}
)
_HINTS = {
    401: " to a new token: check the session settings of the app and its user",
    403: ": give the integration user API access and read access to the object",
}
_USAGE = re.compile(r"(?:^|[ ,;])api-usage=(\d+)/(\d+)")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,60}")


class LocatorLostError(CrmUnavailableError):
    """Salesforce has forgotten where a query's result was left."""


class RefusedError(CrmConfigurationError):
    """Salesforce refuses a request for good; `code` is its errorCode."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class SalesforceApi:
    """One organisation's API.

    Args:
        settings: The organisation.
        tokens: Who calls.
        http: The wire.
    """

    def __init__(self, settings: Salesforce, tokens: Tokens, http: Http) -> None:
        self.http = http
        self._settings = settings
        self._tokens = tokens
        self._used, self._allowed = 0, 0

    def get(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """Return the JSON object at `path`, which begins after the API's version, or is a link of an answer.

        Raises:
            CrmExhaustedError: Our share of the organisation's requests of the day is used up.
            RefusedError: A field, object or permission is missing.
            CrmConfigurationError: A link leads to another host.
            CrmUnavailableError: Salesforce cannot be reached, or answers pages of HTML.
        """
        return _object(self._call(requests.Request("GET", self._url(path), params=params, headers=headers)))

    def get_csv(self, path: str, params: Mapping[str, str]) -> Answer:
        """Return an answer that is CSV; see `get` for what it raises."""
        headers = {"Accept": "text/csv"}
        return self._call(requests.Request("GET", self._url(path), params=params, headers=headers), csv=True)

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send `body` to `path` and return the JSON object that comes back; see `get` for what it raises."""
        return _object(self._call(requests.Request("POST", self._url(path), json=body)))

    def delete(self, path: str) -> None:
        """Delete what is at `path`, whatever is left of the day's requests; see `get` for what else it raises."""
        self._call(requests.Request("DELETE", self._url(path)))

    def _url(self, path: str) -> str:
        own = not path or (path.startswith("/") and not path.startswith(("/services/", "//")))
        return f"/services/data/v{self._settings.api_version}{path}" if own else path

    def _call(self, request: requests.Request, *, csv: bool = False) -> Answer:
        def attempt() -> Answer:
            if request.method != "DELETE":
                self._require_requests()
            access = self._tokens.access()
            answer = self._send(access, request)
            if answer.status == 401:  # tokens end without notice: one new token, one replay
                answer = self._send(self._tokens.renew(access), request)
            return _judged(answer, csv=csv)

        return self.http.repeated(attempt)

    def _send(self, access: Access, request: requests.Request) -> Answer:
        url = urljoin(access.instance, str(request.url))
        require_same_origin(url, access.instance)
        # A request of its own, for the token: the attempts share the other one.
        sent = requests.Request(
            request.method,
            url,
            params=request.params,
            headers=request.headers,
            json=request.json,
            auth=BearerAuth(access.token),
        )
        answer = self.http.exchange(sent)
        if usage := _USAGE.search(answer.headers.get("Sforce-Limit-Info", "")):
            self._used, self._allowed = int(usage[1]), int(usage[2])
        return answer

    def _require_requests(self) -> None:
        if self._allowed and self._used >= self._allowed * self._settings.daily_share:
            raise CrmExhaustedError(
                f"Salesforce counts {self._used:,} of {self._allowed:,} API requests of the day, and "
                f"crm.salesforce.daily_share ends reading at {self._settings.daily_share:.0%}: a later run goes on"
            )


def _judged(answer: Answer, *, csv: bool) -> Answer:
    """Return an answer that is what was asked for: JSON or nothing, or CSV.

    Raises:
        CrmError: It is not.
    """
    if answer.ok and (_is_csv(answer) if csv else not answer.content):
        return answer
    body = answer.json()
    if body is None:
        raise CrmRetryableError(
            f"Salesforce answered {answer.place} with {answer.status} and a page that is no data: is it under "
            "maintenance, or is a proxy in between?",
            answer.retry_after,
        )
    if answer.ok and not csv:
        return answer
    raise _failure(answer, _told(body))


def _failure(answer: Answer, fault: Mapping[str, Any]) -> CrmError:
    """Return what a refused request means; Salesforce's own sentence may quote values and is not told."""
    status, place = answer.status, answer.place
    named = fault.get("errorCode")
    code = named if isinstance(named, str) and _CODE.fullmatch(named) else "without an error code"
    told = f"Salesforce answered {place} with {status} {code}"
    crowded = code == "REQUEST_LIMIT_EXCEEDED" and "Concurrent" in str(fault.get("message"))
    if crowded or status in _TRANSIENT_STATUS or status >= 500 or code in _TRANSIENT_CODES:
        return CrmRetryableError(told, answer.retry_after)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return CrmExhaustedError("Salesforce's API requests of the day are used up: a later run goes on")
    if code == "INVALID_QUERY_LOCATOR":
        return LocatorLostError(told)
    return RefusedError(told + _HINTS.get(status, ""), code)


def _told(body: object) -> Mapping[str, Any]:
    """Return the first error of a body."""
    first = body[0] if isinstance(body, list) and body else body
    return first if isinstance(first, dict) else {}


def _object(answer: Answer) -> Mapping[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise CrmUnavailableError(f"Salesforce answered {answer.place} with something that is no JSON object")
    return body


def _is_csv(answer: Answer) -> bool:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip() == "text/csv"
