"""The organisation as a web application.

What belongs here: which paths there are, and how a request becomes a query.
"""

import json
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contact_sync.simulator.salesforce import replication
from contact_sync.simulator.salesforce.door import Door
from contact_sync.simulator.salesforce.errors import ApiError
from contact_sync.simulator.salesforce.jobs import Jobs
from contact_sync.simulator.salesforce.paging import Pages, lost
from contact_sync.simulator.salesforce.records import Records
from contact_sync.simulator.salesforce.schema import OBJECTS
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.soql import Found, find
from contact_sync.simulator.salesforce.trouble import Trouble

_DATA = "/services/data/v{version}"


class Org:
    """One organisation: its records, its open results and jobs, and what goes wrong with it.

    Attributes:
        covered_until: The start of the oldest transaction under way, behind which getDeleted stays.
    """

    def __init__(self, settings: OrgSettings) -> None:
        self.settings = settings
        self.records = Records(settings)
        self.pages = Pages(settings)
        self.jobs = Jobs(settings)
        self.trouble = Trouble()
        self.door = Door(settings, self.trouble)
        self.covered_until: datetime | None = None

    def app(self) -> Starlette:
        """Return the application that serves it."""
        door = self.door
        return Starlette(
            routes=[
                Route("/services/oauth2/token", door.token, methods=["POST"]),
                Route("/services/data/", door.open_endpoint("/data", self._versions)),
                Route(f"{_DATA}/query/", door.endpoint("/query", self._query)),
                Route(f"{_DATA}/queryAll/", door.endpoint("/queryAll", self._query)),
                Route(f"{_DATA}/query/{{locator}}", door.endpoint("/query/more", self._more)),
                Route(f"{_DATA}/queryAll/{{locator}}", door.endpoint("/queryAll/more", self._more)),
                Route(f"{_DATA}/sobjects/{{name}}/describe", door.endpoint("/describe", self._describe)),
                Route(f"{_DATA}/sobjects/{{name}}/deleted/", door.endpoint("/deleted", self._deleted)),
                Route(f"{_DATA}/jobs/query", door.endpoint("/jobs", self._create_job), methods=["POST"]),
                Route(f"{_DATA}/jobs/query/{{job}}", door.endpoint("/job", self._job), methods=["GET", "DELETE"]),
                Route(f"{_DATA}/jobs/query/{{job}}/results", door.endpoint("/results", self._results)),
            ],
        )

    def _versions(self, _request: Request, _body: bytes) -> Response:
        return JSONResponse([{"label": "Trial", "url": "/services/data/v62.0", "version": "62.0"}])

    def _query(self, request: Request, _body: bytes) -> Response:
        deleted = "/queryAll" in request.url.path
        found = self._found(request.query_params.get("q", ""), deleted=deleted)
        resource = "queryAll" if deleted else "query"
        page = self.pages.first(found, _batch(request), request.path_params["version"], resource)
        return self._paged(page, request)

    def _more(self, request: Request, _body: bytes) -> Response:
        path = request.url.path
        if self.trouble.hit("locator_lost", path):
            raise lost()
        skip = self.trouble.hit("page_skipped", path)
        page = self.pages.more(request.path_params["locator"], request.path_params["version"], skip=skip)
        return self._paged(page, request)

    def _paged(self, page: dict[str, object], request: Request) -> Response:
        if "nextRecordsUrl" in page and self.trouble.hit("foreign_link", request.url.path):
            page["nextRecordsUrl"] = "https://evil.example/services/data"
        return JSONResponse(page)

    def _found(self, soql: str, *, deleted: bool) -> Found:
        return find(soql, self.records, deleted=deleted, hidden=self.settings.hidden)

    def _describe(self, request: Request, _body: bytes) -> Response:
        name = request.path_params["name"]
        if name not in OBJECTS:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        fields = (one for one in OBJECTS[name].fields.values() if f"{name}.{one.name}" not in self.settings.hidden)
        return JSONResponse({"name": name, "fields": [one.describe() for one in fields]})

    def _deleted(self, request: Request, _body: bytes) -> Response:
        query, name = request.query_params, request.path_params["name"]
        span = (query.get("start", ""), query.get("end", ""))
        return JSONResponse(replication.deleted(self.records, self.settings, name, span, self.covered_until))

    def _create_job(self, _request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        operation = str(asked.get("operation"))
        if operation not in {"query", "queryAll"}:
            raise ApiError(400, "INVALIDJOB", "unknown operation")
        found = self._found(str(asked.get("query")), deleted=operation == "queryAll")
        return JSONResponse(self.jobs.create(operation, found).json())

    def _job(self, request: Request, _body: bytes) -> Response:
        job = request.path_params["job"]
        if request.method == "DELETE":
            self.jobs.delete(job)
            return Response(status_code=204)
        return JSONResponse(self.jobs.poll(job, fail=self.trouble.hit("job_failed", request.url.path)).json())

    def _results(self, request: Request, _body: bytes) -> Response:
        query = request.query_params
        most = query.get("maxRecords")
        skip = self.trouble.hit("page_skipped", request.url.path)
        job, locator = request.path_params["job"], query.get("locator", "")
        page = self.jobs.results(job, locator, int(most) if most else None, skip=skip)
        headers = {"Sforce-Locator": page.locator, "Sforce-NumberOfRecords": str(page.rows)}
        return Response(page.text, media_type="text/csv", headers=headers)


def _batch(request: Request) -> int | None:
    name, _, size = request.headers.get("Sforce-Query-Options", "").partition("=")
    return int(size) if name == "batchSize" and size.isdigit() else None
