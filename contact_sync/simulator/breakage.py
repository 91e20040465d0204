"""Breakage: answers that come late, in pieces, in part or not at all.

What belongs here: what happens to a finished answer on its way out, down to the TCP connection. Which answer it
happens to is drawn by the injector.
"""

import asyncio
import socket
import struct
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from contact_sync.simulator.injector import Injector

_TRANSPORT = "transport"
_PIECES = 200
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger: on, for 0 s


class BreakableProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn chooses it at import
    """Uvicorn's HTTP protocol, which lets the application at its connection."""

    app_state: dict[str, object]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Put the transport into the state that every request of the connection carries."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


class Cut(Response):
    """A connection that is closed without a byte of answer or, given one, reset in the middle of its body."""

    def __init__(self, answer: Response | None = None) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close, and wait for the end: to an application that merely returns, uvicorn adds a 500."""
        transport = scope["state"][_TRANSPORT]
        if self._answer is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            await _begin(self._answer, send)
            await _continue(self._answer.body[: len(self._answer.body) // 2], send)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


class Drip(Response):
    """An answer that takes `seconds` to come, piece by piece."""

    def __init__(self, answer: Response, seconds: float) -> None:
        super().__init__()
        self._answer = answer
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI
        """Send each piece when it is due: a timer of a millisecond would miss the sum of many short pauses."""
        body = self._answer.body
        size = -(-len(body) // _PIECES) or 1
        started = time.monotonic()
        await _begin(self._answer, send)
        for start in range(0, len(body), size):
            due = started + self._seconds * min(start + size, len(body)) / len(body)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await _continue(body[start : start + size], send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def sent(answer: Response, injector: Injector) -> Response:
    """Return what becomes of a finished answer."""
    if seconds := injector.latency():
        await asyncio.sleep(seconds)
    if injector.hits("lost"):
        return Cut()
    if injector.hits("reset"):
        return Cut(answer)
    if injector.hits("drip"):
        return Drip(answer, injector.faults.drip_seconds)
    return answer


async def _begin(answer: Response, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})


async def _continue(piece: bytes | memoryview, send: Send) -> None:
    await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
