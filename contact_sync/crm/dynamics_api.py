"""The Dataverse Web API: authorised calls, pages, and what a refusal means.

What belongs here: HTTP as Dataverse speaks it. What is asked for belongs to `dynamics` and its neighbours. Of an
error's body only the code and the name of a column are kept: its message may quote the query.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import requests

from contact_sync.crm.dynamics_tokens import EntraTokens
from contact_sync.crm.http import Answer, CrmRetryableError, Http, require_same_origin
from contact_sync.crm.source import CrmConfigurationError, CrmError
from contact_sync.wire import BearerAuth

ROOT = "/api/data/v9.2/"
MAX_PAGE = 5000
"""Most rows of a page; Dataverse gives no more."""

_HEADERS = {
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "If-None-Match": "null",  # or a cache in between may answer
}
_NOT_A_USER = "0x80072560"
_CODE = re.compile(r"0x[0-9A-Fa-f]{8}")
_PROPERTY = re.compile(r"property named '([A-Za-z0-9_]{1,128})'")

Json = Mapping[str, Any]


class DataverseRefusedError(CrmConfigurationError):
    """Dataverse refuses a request; `code` is its own, if it gave one."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class DataverseApi:
    """Reads from one environment.

    Args:
        http: Sends the requests, again where that helps.
        origin: The environment.
        tokens: What requests carry.
    """

    def __init__(self, http: Http, origin: str, tokens: EntraTokens) -> None:
        self._http = http
        self.origin = origin
        self._tokens = tokens

    def url(self, path: str, options: Mapping[str, str] | None = None) -> str:
        """Return the address of a resource with query options."""
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        return f"{self.origin}{ROOT}{path}{query}"

    def get(self, url: str, prefer: str = "") -> Json:
        """Return the JSON object at `url`, an address of this environment.

        Raises:
            DataverseRefusedError: A column, a privilege or the application user is missing.
            CrmUnavailableError: Dataverse cannot be reached, is throttled, or answers something else than JSON.
        """
        return _object(self._answer(url, prefer))

    def pages(self, url: str, prefer: str) -> Iterator[Json]:
        """Yield the page at `url` and those that follow it; see `get` for what is raised.

        A link to the next page is followed as it is, on this environment only, with the same preferences.
        """
        seen: set[str] = set()
        link: object = url
        while link is not None:
            if not isinstance(link, str) or link in seen:
                raise CrmRetryableError(f"the CRM at {self.origin} named pages that lead nowhere")
            seen.add(link)
            require_same_origin(link, self.origin)
            page = self.get(link, prefer)
            yield page
            link = page.get("@odata.nextLink")

    def date(self) -> str:
        """Return the Date header of an answer, empty if it has none; see `get` for what is raised."""
        return self._answer(self.url("WhoAmI"), "").headers.get("Date", "")

    def _answer(self, url: str, prefer: str) -> Answer:
        return self._http.repeated(lambda: self._attempt(url, prefer))

    def _attempt(self, url: str, prefer: str) -> Answer:
        token = self._tokens.token()
        answer = self._exchange(url, prefer, token)
        if answer.status == 401:  # ended or revoked before its time: one new token, one replay
            self._tokens.forget(token)
            answer = self._exchange(url, prefer, self._tokens.token())
        if not answer.ok:
            raise self._failure(answer)
        _object(answer)  # here, so that a page of HTML is asked for again
        return answer

    def _exchange(self, url: str, prefer: str, token: str) -> Answer:
        headers = _HEADERS | ({"Prefer": prefer} if prefer else {})
        return self._http.exchange(requests.Request("GET", url, headers=headers, auth=BearerAuth(token)))

    def _failure(self, answer: Answer) -> CrmError:
        if answer.status in {408, 429} or answer.status >= 500:
            return answer.transient()
        code, column = _told(answer)
        message = f"Dataverse refuses {answer.place} ({answer.status}{f', {code}' if code else ''})"
        return DataverseRefusedError(f"{message}: {_hint(answer.status, code, column)}", answer.status, code)


def rows_of(page: Json) -> Sequence[Json]:
    """Return the rows of a page.

    Raises:
        CrmRetryableError: It has none, not even no rows.
    """
    rows = page.get("value")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CrmRetryableError("Dataverse answered a page without rows")
    return rows


def _object(answer: Answer) -> Json:
    body = answer.json()
    if isinstance(body, dict):
        return body
    raise CrmRetryableError(
        f"the CRM answered {answer.place} with something that is no JSON object: is crm.dynamics.url right, or a "
        "proxy in between?"
    )


def _told(answer: Answer) -> tuple[str, str]:
    """Return code and column of an error, each empty if it has none."""
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code, message = str(error.get("code")), str(error.get("message"))
    named = _PROPERTY.search(message)
    return code if _CODE.fullmatch(code) else "", named[1] if named else ""


def _hint(status: int, code: str, column: str) -> str:
    if code == _NOT_A_USER or status == 401:
        return "add the app registration to the environment as an application user"
    if status == 403:
        return "give its application user a security role that reads contacts at organization level"
    if column:
        return f"contacts have no column {column}: correct the registry"
    if status == 404:
        return "check crm.dynamics.url"
    return "compare the registry with the columns of the contact table"
