"""A server that says exactly what a test tells it to, byte by byte if need be.

What belongs here: answers that no service gives on purpose, and faults that must be controlled precisely. How
Genesys or a CRM behaves is its twin's.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

HTML = {"Content-Type": "text/html"}


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


@dataclass(frozen=True)
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes; `drop` closes the connection instead."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    drip: float = 0.0  # seconds between bytes of the body


Script = Reply | Callable[[Seen], Reply]


class Scripted(ThreadingHTTPServer):
    """Plays `script`, one reply a request, and then `otherwise`; serves as long as its `with` block lasts."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: deque[Script] = deque()
        self.otherwise: Script = Reply(500)
        self.seen: list[Seen] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, object]:
        self.connections += 1
        return super().get_request()

    def reply(self, seen: Seen) -> Reply:
        with self._lock:
            script = self.next_script(seen)
        return script(seen) if callable(script) else script

    def next_script(self, seen: Seen) -> Script:
        self.seen.append(seen)
        return self.script.popleft() if self.script else self.otherwise


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Scripted

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
        headers = {"Content-Type": "application/json", **reply.headers}
        chunked = "Transfer-Encoding" in headers
        if not chunked:
            headers["Content-Length"] = str(len(raw))
        self.send_response_only(reply.status)  # without a date
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not reply.drip:
            self.wfile.write(raw)
            return
        for position in range(len(raw)):
            if self.server.stopping.wait(reply.drip):
                return
            byte = raw[position : position + 1]
            self.wfile.write(b"1\r\n" + byte + b"\r\n" if chunked else byte)
