"""Running the twin: in a thread for tests and demos, or in the foreground.

What belongs here: sockets and threads. The twin listens on the loopback address only: it holds no secrets worth
having, but its contacts may be copies of real ones.
"""

import logging
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from contact_sync.simulator.app import build_app
from contact_sync.simulator.breakage import BreakableProtocol
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore

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


class TwinServer:
    """A running twin, stopped when its `with` block ends.

    Args:
        settings: The organisation and how it behaves.
        port: Where to listen; 0 takes a free port.

    Raises:
        RuntimeError: It did not start.
    """

    def __init__(self, settings: TwinSettings | None = None, *, port: int = 0) -> None:
        self.settings = settings or TwinSettings()
        self.store = TwinStore(self.settings)
        self._socket = socket.create_server((LOOPBACK, port))
        self._port = int(self._socket.getsockname()[1])
        self._server = _Server(_config(self.store))
        self._thread = threading.Thread(target=self._serve, name=f"twin-{self._port}", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(READY_SECONDS):
            self.stop()
            raise RuntimeError(f"the twin did not start within {READY_SECONDS:g} s")

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be set at any time."""
        return self.store.injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.store.injector.faults = faults

    @property
    def base_url(self) -> str:
        """Where both the login and the API host are, without a slash at the end."""
        return f"http://{LOOPBACK}:{self._port}"

    def stop(self) -> None:
        """Stop serving; what the twin holds stays in `store`."""
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


def serve(settings: TwinSettings | None = None, port: int = 0, snapshot: Path | None = None) -> None:
    """Serve a twin in the foreground until it is interrupted.

    Args:
        settings: The organisation and how it behaves.
        port: Where to listen.
        snapshot: File from which the twin starts, if it is there, and to which it is saved at the end.
    """
    store = TwinStore(settings or TwinSettings())
    if snapshot and snapshot.is_file():
        store.load(snapshot)
    try:
        uvicorn.Server(_config(store)).run(sockets=[socket.create_server((LOOPBACK, port))])
    except KeyboardInterrupt:
        pass  # uvicorn raises it again after an orderly end
    finally:
        if snapshot:
            store.save(snapshot)


def _config(store: TwinStore) -> uvicorn.Config:
    return uvicorn.Config(
        build_app(store),
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_level=logging.WARNING,
        access_log=False,
    )
