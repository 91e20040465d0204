"""A server that says exactly what a test tells it to, byte by byte if need be.

What belongs here: answers that no CRM gives on purpose. How a CRM behaves is its twin's.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes; `drop` closes the connection instead."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    drip: float = 0.0  # seconds between bytes of the body


class Scripted(ThreadingHTTPServer):
    """Plays `script`, one reply a request, and then `otherwise`; `seen` are the requests' targets and headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: deque[Reply] = deque()
        self.otherwise = Reply(500)
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Serve until the block ends."""
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers)))
        reply = self.server.script.popleft() if self.server.script else self.server.otherwise
        if reply.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # a client may hang up on what it has enough of
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(raw)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not reply.drip:
            self.wfile.write(raw)
            return
        for position in range(len(raw)):
            if self.server.stopping.wait(reply.drip):
                return
            self.wfile.write(raw[position : position + 1])
