"""The Dataverse twin over HTTP: its paths, who is let in, and what goes wrong on the way.

What belongs here: HTTP. What is answered belongs to the modules of the package; answers that come late, in pieces
or not at all to the simulator's `breakage`.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from contact_sync.simulator import breakage
from contact_sync.simulator.dataverse.access import Access, TokenRefusedError
from contact_sync.simulator.dataverse.columns import SHADOWS
from contact_sync.simulator.dataverse.errors import (
    NO_PRIVILEGE,
    NO_USER,
    THROTTLED,
    Json,
    ODataError,
    no_property,
)
from contact_sync.simulator.dataverse.fetchxml import aggregated
from contact_sync.simulator.dataverse.queries import Asked, listing
from contact_sync.simulator.dataverse.settings import DataverseSettings
from contact_sync.simulator.dataverse.table import ContactTable
from contact_sync.simulator.dataverse.tracking import is_tracked, tracked
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.hosting import HostedApp
from contact_sync.simulator.injector import Injector
from contact_sync.simulator.settings import TwinSettings

ROOT = "/api/data/v9.2"
_GATEWAY_PAGE = (
    "<html><head><title>{0}</title></head><body><h1>{0} Our services aren't available</h1></body></html>"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request of the Web API as it arrived."""

    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class DataverseServer(HostedApp):
    """A running twin; both the environment and the login host are at `base_url`.

    Attributes:
        table: The contacts; may be changed at any time.
        access: The tokens.
        seen: The requests of the Web API, oldest first, those of the token endpoint apart.
        foreign_origin: Where the links to next pages lead instead of here, if anywhere.
        pages_to_skip: How many pages are left out of what follows: their links lead past them.
    """

    def __init__(self, settings: DataverseSettings | None = None, *, port: int = 0) -> None:
        self.settings = settings or DataverseSettings()
        self.table = ContactTable(self.settings)
        self.access = Access(self.settings)
        self.seen: list[Seen] = []
        self.foreign_origin = ""
        self.pages_to_skip = 0
        self._injector = Injector(TwinSettings(clock=self.settings.clock, faults=self.settings.faults))
        self._throttles = itertools.cycle(THROTTLED.items())
        paths: Mapping[str, Callable[[Request], Json]] = {
            "/contacts": self._contacts,
            "/WhoAmI": lambda _: {"UserId": "0b3e8a4c-51f6-4b52-8c3d-6f1f5d9e7a20"},
            "/EntityDefinitions(LogicalName='contact')": self._definition,
            "/EntityDefinitions(LogicalName='contact')/Attributes": self._attributes,
        }
        routes = [Route(ROOT + path, self._endpoint(answer)) for path, answer in paths.items()]
        login = Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"])
        super().__init__(Starlette(routes=[*routes, login]), port=port, own_date=True)

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be set at any time."""
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector.faults = faults

    def _endpoint(self, answer: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.seen.append(Seen(request.url.path, request.url.query, dict(request.headers)))
            if self._injector.hits("refused"):
                return breakage.Cut()
            return await breakage.sent(self._dated(self._answered(request, answer)), self._injector)

        return serve

    def _answered(self, request: Request, answer: Callable[[Request], Json]) -> Response:
        client = self.access.client_of(request.headers.get("authorization", ""))
        if client is None or self._injector.hits("token_revoked"):
            self.access.revoke_all()
            return Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        try:
            self._break(client)
            with self.table.lock:
                body = {"@odata.context": f"{request.base_url}api/data/v9.2/$metadata"} | answer(request)
        except ODataError as error:
            retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            if error.status >= 500 and self.faults.server_error_html:
                return HTMLResponse(_GATEWAY_PAGE.format(error.status), error.status)
            return JSONResponse(error.body(), error.status, retry)
        return JSONResponse(body, headers={"OData-Version": "4.0"})

    def _break(self, client: str) -> None:
        """Let the storm, the outage or the missing role hit.

        Raises:
            ODataError: It does.
        """
        if self._injector.hits("throttled"):
            code, message = next(self._throttles)
            raise ODataError(429, code, message, self.faults.retry_after)
        if self._injector.hits("server_error"):
            raise ODataError(self.faults.server_error_status, "0x80040216", "An unexpected error occurred.")
        self.access.spend(client)
        if self.settings.access == "no user":
            raise ODataError(403, NO_USER, "The user is not a member of the organization.")

    def _contacts(self, request: Request) -> Json:
        asked = Asked(
            f"{self.foreign_origin or str(request.base_url).rstrip('/')}{request.url.path}",
            _options(request.url.query),
            ",".join(request.headers.getlist("prefer")),
        )
        tracks = is_tracked(asked)
        if self.settings.access == "none" or (tracks and self.settings.access == "business unit"):
            raise ODataError(403, NO_PRIVILEGE, "Principal user is missing prvReadContact privilege.")
        if "fetchXml" in asked.options:
            return aggregated(asked.options["fetchXml"], self.table, self.settings.aggregate_rows)
        if tracks:
            return tracked(asked, self.table, self.settings)
        page = listing(asked, self.table, self.settings.page_size)
        while self.pages_to_skip and (link := page.pop("@odata.nextLink", "")):
            self.pages_to_skip -= 1
            skipped = replace(asked, options=_options(link.partition("?")[2]))
            page = listing(skipped, self.table, self.settings.page_size) | page
        return page

    def _definition(self, request: Request) -> Json:
        known = {"LogicalName": "contact", "ChangeTrackingEnabled": self.settings.change_tracking}
        return _selected(request, known)

    def _attributes(self, request: Request) -> Json:
        columns = (*self.table.columns.values(), *SHADOWS)
        return {"value": [_selected(request, column.metadata()) for column in columns]}

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        if self._injector.hits("token_error"):
            return HTMLResponse(_GATEWAY_PAGE.format(503), 503)
        if self._injector.hits("token_throttled"):
            return Response(status_code=429, headers={"Retry-After": str(self.faults.retry_after)})
        try:
            granted = self.access.issue(request.path_params["tenant"], form, str(request.base_url).rstrip("/"))
        except TokenRefusedError as refusal:
            return self._dated(JSONResponse(refusal.body(), refusal.status))
        return self._dated(JSONResponse(granted))

    def _dated(self, answer: Response) -> Response:
        answer.headers["Date"] = formatdate(self.settings.clock(), usegmt=True)
        return answer


def _options(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _selected(request: Request, known: Json) -> Json:
    names = request.query_params.get("$select", ",".join(known)).split(",")
    for name in names:
        if name not in known:
            raise no_property(name)
    return {name: known[name] for name in names}
