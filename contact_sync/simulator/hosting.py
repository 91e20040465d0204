"""Serving an application on this machine: in a thread for tests and demos.

What belongs here: sockets and threads, the same for every twin. A twin listens on the loopback address only: it
holds no secrets worth having, but its contacts may be copies of real ones.
"""

import logging
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from contact_sync.simulator.breakage import BreakableProtocol

LOOPBACK = "127.0.0.1"
READY_SECONDS = 10.0


class _Server(uvicorn.Server):
    """Uvicorn that tells when it accepts requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class HostedApp:
    """A running application, stopped when its `with` block ends.

    Args:
        app: What is served.
        port: Where to listen; 0 takes a free port.
        own_date: Whether the application writes the Date header, for a clock of its own.

    Raises:
        RuntimeError: It did not start.
    """

    def __init__(self, app: Starlette, *, port: int = 0, own_date: bool = False) -> None:
        self._socket = socket.create_server((LOOPBACK, port))
        self._port = int(self._socket.getsockname()[1])
        self._server = _Server(config_of(app, own_date=own_date))
        self._thread = threading.Thread(target=self._serve, name=f"twin-{self._port}", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(READY_SECONDS):
            self.stop()
            raise RuntimeError(f"the twin did not start within {READY_SECONDS:g} s")

    @property
    def base_url(self) -> str:
        """Where it is served, without a slash at the end."""
        return f"http://{LOOPBACK}:{self._port}"

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(READY_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def config_of(app: Starlette, *, own_date: bool = False) -> uvicorn.Config:
    """Return how uvicorn serves a twin."""
    return uvicorn.Config(
        app,
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_level=logging.WARNING,
        access_log=False,
        date_header=not own_date,
    )
