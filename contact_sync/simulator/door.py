"""The door every request passes: token, budget, size, JSON; and every answer: headers, errors, counting.

What belongs here: HTTP that all operations share. What an operation does is in `operations`.
"""

import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from contact_sync.simulator.access import RequestBudget, Token, TokenRefusedError, Tokens
from contact_sync.simulator.errors import ApiError, Json, bad_request
from contact_sync.simulator.store import TwinStore

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, past the door."""

    store: TwinStore
    token: Token
    path: Mapping[str, str]
    query: Mapping[str, str]
    expand: frozenset[str]
    written: object

    @property
    def body(self) -> Json:
        """The JSON object that was sent.

        Raises:
            ApiError: 400 when none was.
        """
        if not isinstance(self.written, dict):
            raise bad_request("Invalid request body")
        return self.written

    @property
    def dry_run(self) -> bool:
        """Whether `dryRun` was asked for."""
        return _is_dry_run(self.query)


class Reply(NamedTuple):
    """What an operation answers; `body` None is an empty answer."""

    status: int
    body: Json | None


Handler = Callable[[Call], Reply]


class Operation(NamedTuple):
    """One operation of the contract; `writes` when it can change what the twin holds."""

    method: str
    path: str
    handler: Handler
    writes: bool


@dataclass(slots=True)
class Stats:
    """What was asked of the API and how it was answered, since the start or the last reset."""

    requests: int = 0
    writes: int = 0
    by_operation: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)

    def count(self, operation: Operation, request: Request, status: int) -> None:
        """Count one answered request; a refused one and a dry run write nothing."""
        self.requests += 1
        self.writes += operation.writes and status < 400 and not _is_dry_run(request.query_params)
        self.by_operation[f"{operation.method} {operation.path}"] += 1
        self.by_status[str(status)] += 1

    def reset(self) -> None:
        """Start again from nothing."""
        self.requests = self.writes = 0
        self.by_operation.clear()
        self.by_status.clear()


class Door:
    """Lets requests in and answers out."""

    def __init__(self, store: TwinStore) -> None:
        self.store = store
        self.tokens = Tokens(store.settings)
        self.budget = RequestBudget(store.settings)
        self.stats = Stats()

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Return the HTTP endpoint of an operation."""

        async def serve(request: Request) -> Response:
            body = await request.body()
            response = self._answer(operation, request, body)
            self.stats.count(operation, request, response.status_code)
            return response

        return serve

    async def token(self, request: Request) -> Response:
        """Serve `POST /oauth/token`."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            return JSONResponse(self.tokens.issue(form, request.headers.get("authorization", "")))
        except TokenRefusedError as refusal:
            return JSONResponse(refusal.body(), 400)

    async def unknown(self, request: Request, _error: Exception) -> Response:
        """Answer a path or method that the contract does not have."""
        message = f"HTTP {request.method} {request.url.path} is not an operation of the API."
        return _error_response(ApiError(404, "not.found", message), _common_headers())

    def _answer(self, operation: Operation, request: Request, body: bytes) -> Response:
        headers = _common_headers()
        try:
            token = self.tokens.check(request.headers.get("authorization", ""))
            allowance = self.budget.spend(token)
            headers |= allowance.headers()
            allowance.require()
            status, reply = operation.handler(self._call(request, token, body))
        except ApiError as error:
            return _error_response(error, headers)
        if reply is None:
            return Response(status_code=status, headers=headers)
        return JSONResponse(reply, status, headers)

    def _call(self, request: Request, token: Token, body: bytes) -> Call:
        limit = self.store.settings.max_body_bytes
        if len(body) > limit:
            message = f"The request is over the size limit. Maximum bytes: {limit}"
            raise ApiError(413, "request.entity.too.large", message)
        written = _parsed(request, body) if request.method in _BODY_METHODS and body else None
        expand = frozenset(name for value in request.query_params.getlist("expand") for name in value.split(","))
        return Call(self.store, token, request.path_params, request.query_params, expand, written)


def _parsed(request: Request, body: bytes) -> object:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(415, "unsupported.media.type", "Unsupported Media Type - send application/json.")
    try:
        written: Any = json.loads(body)
        if b"\\ud" in body.lower():  # an escaped surrogate, which alone is no character
            json.dumps(written, ensure_ascii=False).encode()
    except ValueError:
        raise bad_request("The request could not be understood by the server due to malformed syntax.") from None
    return written


def _is_dry_run(query: Mapping[str, str]) -> bool:
    return query.get("dryRun", "").lower() == "true"


def _common_headers() -> dict[str, str]:
    return {"ININ-Correlation-Id": str(uuid.uuid4())}


def _error_response(error: ApiError, headers: dict[str, str]) -> Response:
    retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(error.body(headers["ININ-Correlation-Id"]), error.status, headers | retry)
