"""A server that says exactly what a test tells it to, byte by byte if need be.

What belongs here: faults that must be controlled precisely. How Genesys behaves is the simulator's.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

JSON = "application/json"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.body)
        return loaded

    @property
    def entities(self) -> list[dict[str, object]]:
        entities = self.json["entities"]
        assert isinstance(entities, list)
        return entities


@dataclass(frozen=True)
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes; `drop` closes the connection instead."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    drip: float = 0.0  # seconds between bytes of the body


HTML = {"Content-Type": "text/html"}
GREETING = Reply(200, {"hello": "world"})

Script = Reply | Callable[[Seen], Reply]


def error(status: int, code: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"status": status, "code": code, "message": "somebody's +4915112345678 is wrong"}, named)


def done(seen: Seen) -> Reply:
    """Answer a bulk request as Genesys does when every item is new."""
    return Reply(200, {"results": [success(str(item["id"])) for item in seen.entities]})


def success(tracker: str, status: int = 201) -> dict[str, object]:
    return {"id": tracker, "success": True, "status": status, "entity": {"id": f"contact-of-{tracker}"}}


class ScriptedServer(ThreadingHTTPServer):
    """Plays `script` on the API, and hands out tokens unless `tokens` says otherwise."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: deque[Script] = deque()
        self.tokens: deque[Script] = deque()
        self.otherwise: Script = error(500, "script.is.empty")
        self.seen: list[Seen] = []
        self.token_requests: list[Seen] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, object]:
        self.connections += 1
        return super().get_request()

    def reply(self, seen: Seen) -> Reply:
        with self._lock:
            if seen.path == "/oauth/token":
                self.token_requests.append(seen)
                script = self.tokens.popleft() if self.tokens else self._token()
            else:
                self.seen.append(seen)
                script = self.script.popleft() if self.script else self.otherwise
        return script(seen) if callable(script) else script

    def _token(self) -> Reply:
        return Reply(200, {"access_token": f"token-{len(self.token_requests)}", "expires_in": 86_400})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
        reply = self.server.reply(seen)
        if reply.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # a client may hang up on what it has enough of
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": JSON, **reply.headers}
        chunked = "Transfer-Encoding" in headers
        if not chunked:
            headers["Content-Length"] = str(len(raw))
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not reply.drip:
            self.wfile.write(raw)
            return
        for position in range(len(raw)):
            if self.server.stopping.wait(reply.drip):
                return
            try:
                byte = raw[position : position + 1]
                self.wfile.write(b"1\r\n" + byte + b"\r\n" if chunked else byte)
            except OSError:  # the client has given up
                return
