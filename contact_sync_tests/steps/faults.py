"""Faults between the sync and the twin: answers that are lost, refused as a whole, or refuse single items.

What belongs here: the way there and back. The twin always does its work unless it is said otherwise.
"""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter

Item = dict[str, Any]
PassOn = Callable[[], requests.Response]
Answering = Callable[[requests.PreparedRequest, PassOn], requests.Response]


class Answers(HTTPAdapter):
    """Stands between a session and the twin; passes everything on until told otherwise."""

    def __init__(self, session: requests.Session) -> None:
        super().__init__()
        self._fault: Callable[[requests.PreparedRequest], requests.Response | None] = lambda _request: None
        self._item: Callable[[Item], Item] | None = None
        self.bodies: list[tuple[str, str, Any]] = []
        session.mount("http://", self)

    def pass_on(self) -> None:
        """Let everything through again."""
        self._fault, self._item = (lambda _request: None), None

    def lose(self) -> None:
        """Let no request of contacts through."""

        def lost(_request: requests.PreparedRequest) -> requests.Response:
            raise requests.ConnectionError

        self._fault = lost

    def refuse_with(self, status: int, code: str, message: str = "") -> None:
        """Answer every request of contacts with an error of Genesys'."""
        self._fault = lambda request: answer_of(
            request, status, {"status": status, "code": code, "message": message}
        )

    def refuse_items(self, named: str, status: int, code: str, *, retryable: bool) -> None:
        """Answer bulk items whose request contains `named` with an error, without sending them to the twin."""

        def refused(item: Item) -> Item:
            error = {"status": status, "code": code, "retryable": retryable, "message": json.dumps(item)}
            return {"id": item["id"], "success": False, "status": status, "error": error}

        self._item = lambda item: refused(item) if named in json.dumps(item) else {}

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        """Send, unless a fault is due."""
        body = json.loads(request.body) if request.body and "/api/" in str(request.url) else None
        self.bodies.append((str(request.method), request.path_url, body))
        if "/bulk/contacts" not in request.path_url or body is None:
            return super().send(request, *args, **options)  # type: ignore[arg-type]
        if (answer := self._fault(request)) is not None:
            return answer
        if self._item is None:
            return super().send(request, *args, **options)  # type: ignore[arg-type]
        results = [result for item in body["entities"] if (result := self._item(item))]
        refused = {result["id"] for result in results}
        rest = [item for item in body["entities"] if item["id"] not in refused]
        if rest:
            request.prepare_body(None, None, json={"entities": rest})
            done = super().send(request, *args, **options)  # type: ignore[arg-type]
            results += json.loads(done.raw.read(decode_content=True))["results"]
        return answer_of(request, 200, {"results": results, "errorCount": len(refused), "errorIndexes": []})


class Gate(HTTPAdapter):
    """Lets a test answer each bulk request, or say when it reaches the twin; counts those under way at once."""

    def __init__(self, session: requests.Session, answer: Answering) -> None:
        super().__init__()
        self._answer = answer
        self._lock = threading.Lock()
        self._under_way = 0
        self.most_under_way = 0
        self.requests = 0
        session.mount("http://", self)

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        """Send as the test says."""

        def pass_on() -> requests.Response:
            return HTTPAdapter.send(self, request, *args, **options)  # type: ignore[arg-type]

        if "/bulk/contacts" not in request.path_url:
            return pass_on()
        with self._lock:
            self.requests += 1
            self._under_way += 1
            self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            return self._answer(request, pass_on)
        finally:
            with self._lock:
                self._under_way -= 1


def answer_of(request: requests.PreparedRequest, status: int, body: Item) -> requests.Response:
    """Return an answer as the transport reads one: raw bytes behind `read1`."""
    response = requests.Response()
    response.request, response.url, response.status_code = request, str(request.url), status
    response.headers["Content-Type"] = "application/json"
    response.headers["ININ-Correlation-Id"] = "11111111-2222-3333-4444-555555555555"
    response.raw = _Raw(json.dumps(body).encode())
    return response


class _Raw(io.BytesIO):
    def read1(self, size: int | None = -1, decode_content: bool = False) -> bytes:  # noqa: FBT001, FBT002 -- urllib3's
        del decode_content
        return super().read1(size)

    def release_conn(self) -> None:
        """Do nothing: there is no connection."""
