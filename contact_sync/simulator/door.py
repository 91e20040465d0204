"""The door every request passes: token, budget, size, JSON; and every answer: headers, errors, counting.

What belongs here: HTTP that all operations share. What an operation does is in `operations`.
"""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from contact_sync.simulator import breakage, permissions
from contact_sync.simulator.access import RequestBudget, Token, TokenRefusedError, Tokens
from contact_sync.simulator.errors import ApiError, GatewayError, Json, bad_request
from contact_sync.simulator.permissions import Permissions
from contact_sync.simulator.stats import Stats
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
    permissions: Permissions
    writes: bool


@dataclass(slots=True)
class _Visit:
    """What is known of a request so far, for its answer and the statistics."""

    headers: dict[str, str]
    client_id: str = ""
    done: bool = False


class Door:
    """Lets requests in and answers out."""

    def __init__(self, store: TwinStore) -> None:
        self.store = store
        self.injector = store.injector
        self.tokens = Tokens(store.settings)
        self.budget = RequestBudget(store.settings)
        self.stats = Stats()

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Return the HTTP endpoint of an operation."""

        async def serve(request: Request) -> Response:
            body = await request.body()
            if self.injector.hits("refused"):
                return breakage.Cut()
            return await breakage.sent(self._answer(operation, request, body), self.injector)

        return serve

    async def token(self, request: Request) -> Response:
        """Serve `POST /oauth/token`."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            self.injector.fail("token_error")
            self.injector.throttle_token()
            return JSONResponse(self.tokens.issue(form, request.headers.get("authorization", "")))
        except TokenRefusedError as refusal:
            return JSONResponse(refusal.body(), 400)
        except ApiError as error:
            return _error_response(error, _common_headers())

    def reset_stats(self) -> None:
        """Start all counts anew; what is spent of an open budget window stays spent."""
        self.stats = Stats()
        self.budget.forget_closed()
        self.injector.injected.clear()

    async def unknown(self, request: Request, _error: Exception) -> Response:
        """Answer a path or method that the contract does not have."""
        message = f"HTTP {request.method} {request.url.path} is not an operation of the API."
        return _error_response(ApiError(404, "not.found", message), _common_headers())

    async def gone(self, _request: Request, _error: Exception) -> Response:
        """Let a request go whose client went away while sending it; nobody reads the answer."""
        return Response()

    def _answer(self, operation: Operation, request: Request, body: bytes) -> Response:
        visit = _Visit(_common_headers())
        try:
            token = self._let_in(operation, request, visit)
            self.injector.fail("server_error")
            status, reply = operation.handler(self._call(request, token, body))
            visit.done = True
            self.injector.fail("server_error_done")
        except ApiError as error:
            response = _error_response(error, visit.headers)
        else:
            response = _reply_response(status, reply, visit.headers)
        wrote = visit.done and operation.writes and not _is_dry_run(request.query_params)
        name = f"{operation.method} {operation.path}"
        self.stats.count(name, visit.client_id, response.status_code, wrote=wrote)
        return response

    def _let_in(self, operation: Operation, request: Request, visit: _Visit) -> Token:
        """Check token, budget and permissions, in this order.

        Raises:
            ApiError: 401, 429 or 403.
        """
        authorization = request.headers.get("authorization", "")
        token = self.tokens.check(authorization)
        visit.client_id = token.client_id
        if self.injector.hits("token_revoked"):
            self.tokens.revoke(token)
            self.tokens.check(authorization)
        visit.headers |= self.budget.look(token).headers()
        self.injector.throttle()
        allowance = self.budget.spend(token)
        visit.headers |= allowance.headers()
        allowance.require()
        permissions.require(self.store.settings, token.client_id, operation.permissions)
        return token

    def _call(self, request: Request, token: Token, body: bytes) -> Call:
        limit = self.injector.limit("max_body_bytes", self.store.settings.max_body_bytes, len(body))
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


def _reply_response(status: int, body: Json | None, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers=headers) if body is None else JSONResponse(body, status, headers)


def _error_response(error: ApiError, headers: dict[str, str]) -> Response:
    if isinstance(error, GatewayError):
        return HTMLResponse(error.page(), error.status)
    retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(error.body(headers["ININ-Correlation-Id"]), error.status, headers | retry)
