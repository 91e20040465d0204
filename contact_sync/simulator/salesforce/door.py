"""The door every request passes: trouble, token, daily requests; and every answer: headers and errors.

What belongs here: HTTP that all resources share. What a resource does is in `app`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from contact_sync.simulator import breakage
from contact_sync.simulator.salesforce.access import Access
from contact_sync.simulator.salesforce.errors import ApiError, TokenRefusedError
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.trouble import Trouble

RETRY_AFTER = 7  # seconds
_PAGE = "<html><head><title>Down</title></head><body><h1>Scheduled maintenance</h1></body></html>"

Resource = Callable[[Request, bytes], Response]


class Door:
    """Lets requests in and answers out.

    Attributes:
        seen: How often each path was asked for, ids and locators left out.
    """

    def __init__(self, settings: OrgSettings, trouble: Trouble) -> None:
        self._settings = settings
        self._trouble = trouble
        self.access = Access(settings)
        self.seen: Counter[str] = Counter()

    def endpoint(self, name: str, resource: Resource) -> Callable[[Request], Awaitable[Response]]:
        """Return the HTTP endpoint of a resource that needs a token."""

        async def serve(request: Request) -> Response:
            body = await request.body()
            self.seen[f"{request.method} {name}"] += 1
            return self._broken(self._answer(resource, request, body), request.url.path)

        return serve

    def open_endpoint(self, name: str, resource: Resource) -> Callable[[Request], Awaitable[Response]]:
        """Return the HTTP endpoint of a resource that anybody may read, and that costs nothing."""

        async def serve(request: Request) -> Response:
            self.seen[f"{request.method} {name}"] += 1
            answer = self._page(request.url.path) or resource(request, b"")
            return self._broken(self._dated(answer), request.url.path)

        return serve

    async def token(self, request: Request) -> Response:
        """Serve the token endpoint."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        self.seen["POST /token"] += 1
        path = request.url.path
        if self._trouble.hit("token_error", path):
            return HTMLResponse(_PAGE, 503)
        base_url = str(request.base_url).rstrip("/")
        try:
            if self._trouble.hit("token_refused", path):
                raise TokenRefusedError("invalid_client", "invalid client credentials")  # noqa: TRY301
            issued = self.access.issue(form, base_url)
        except TokenRefusedError as refusal:
            return self._dated(JSONResponse(refusal.body(), 400))
        if self._trouble.hit("foreign_instance", path):
            issued["instance_url"] = "https://evil.example"
        return self._dated(JSONResponse(issued))

    def _answer(self, resource: Resource, request: Request, body: bytes) -> Response:
        if page := self._page(request.url.path):
            return page
        try:
            self._let_in(request)
            answer = resource(request, body)
        except ApiError as error:
            retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            answer = JSONResponse(error.body(), error.status, retry)
        answer.headers["Sforce-Limit-Info"] = self.access.limit_info()
        return self._dated(answer)

    def _page(self, path: str) -> Response | None:
        """Return a page that stands before the API, if one does."""
        if self._trouble.hit("html", path):
            return HTMLResponse(_PAGE, 503)
        return HTMLResponse(_PAGE, 200) if self._trouble.hit("maintenance", path) else None

    def _let_in(self, request: Request) -> None:
        path, authorization = request.url.path, request.headers.get("authorization", "")
        token = self.access.check(authorization)
        if self._trouble.hit("expired", path):
            self.access.revoke(token)
            self.access.check(authorization)
        if self._trouble.hit("throttled", path):
            raise ApiError(429, "TOO_MANY_REQUESTS", "slow down", RETRY_AFTER)
        if self._trouble.hit("crowded", path):
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
        if self._trouble.hit("forbidden", path):
            raise ApiError(403, "INSUFFICIENT_ACCESS", "no access")
        self.access.spend()

    def _broken(self, answer: Response, path: str) -> Response:
        if self._trouble.hit("lost", path):
            return breakage.Cut()
        if self._trouble.hit("reset", path):
            return breakage.Cut(answer)
        return breakage.Drip(answer, 1.0) if self._trouble.hit("drip", path) else answer

    def _dated(self, answer: Response) -> Response:
        answer.headers["Date"] = formatdate(self._settings.now(), usegmt=True)
        return answer
