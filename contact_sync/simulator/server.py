"""Running the twin of Genesys Cloud: in a thread for tests and demos, or in the foreground.

What belongs here: the store behind the application, and its snapshot. Sockets and threads are `hosting`'s.
"""

import socket
from pathlib import Path

import uvicorn

from contact_sync.simulator.app import build_app
from contact_sync.simulator.faults import Faults
from contact_sync.simulator.hosting import LOOPBACK, HostedApp, config_of
from contact_sync.simulator.settings import TwinSettings
from contact_sync.simulator.store import TwinStore


class TwinServer(HostedApp):
    """A running twin, stopped when its `with` block ends; what it holds stays in `store`.

    `base_url` is where both the login and the API host are.

    Args:
        settings: The organisation and how it behaves.
        port: Where to listen; 0 takes a free port.

    Raises:
        RuntimeError: It did not start.
    """

    def __init__(self, settings: TwinSettings | None = None, *, port: int = 0) -> None:
        self.settings = settings or TwinSettings()
        self.store = TwinStore(self.settings)
        super().__init__(build_app(self.store), port=port)

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be set at any time."""
        return self.store.injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.store.injector.faults = faults


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
        uvicorn.Server(config_of(build_app(store))).run(sockets=[socket.create_server((LOOPBACK, port))])
    except KeyboardInterrupt:
        pass  # uvicorn raises it again after an orderly end
    finally:
        if snapshot:
            store.save(snapshot)
