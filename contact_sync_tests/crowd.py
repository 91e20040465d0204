"""Processes of ours and a client of somebody else's, on one OAuth client of a rate-limited twin, over HTTP.

What belongs here: starting them, killing them, and counting what each got. What must hold belongs to those who
ask. Run as a module it is one of our processes.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import requests

from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import ORGANIZATION
from contact_sync.genesys.errors import GenesysRetryableError
from contact_sync.genesys.regions import resolve
from contact_sync.genesys.transport import Transport
from contact_sync.simulator.server import TwinServer
from contact_sync.state.database import open_database
from contact_sync.state.pace import SharedPace

CLIENT, SECRET = "twin-client", "twin-secret"

_ROOT = Path(__file__).parent.parent  # where this module is found by its name


@dataclass(frozen=True)
class Worker:
    """What a process of ours needs to know; each of its threads always has something to ask."""

    base_url: str
    state_url: str
    allowed: int
    reserve: float
    window: float
    threads: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start a process that works until its input ends or it is killed."""
        command = [sys.executable, "-m", __name__, json.dumps(asdict(self))]
        return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=_ROOT)  # noqa: S603 (our own program)

    def work(self) -> None:
        hosts = resolve(None, self.base_url)
        pace = SharedPace(
            open_database(self.state_url), CLIENT, allowed=self.allowed, reserve=self.reserve, window=self.window
        )
        transport = Transport(hosts, TokenManager(hosts, CLIENT, SECRET), pace)
        for _ in range(self.threads):
            threading.Thread(target=_ask_on, args=(transport,), daemon=True).start()
        sys.stdin.read()


def _ask_on(transport: Transport) -> None:
    while True:
        with suppress(GenesysRetryableError):
            transport.get(ORGANIZATION)


@dataclass
class Foreigner:
    """Somebody else on the same OAuth client, who calls evenly and takes what is answered."""

    base_url: str
    per_minute: float
    asked: int = 0
    got: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with requests.Session() as session:
            grant = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
            token = session.post(f"{self.base_url}/oauth/token", grant, timeout=10).json()["access_token"]
            session.headers["Authorization"] = f"Bearer {token}"
            began = time.monotonic()
            while not self._stop.wait(max(0.0, began + self.asked * 60.0 / self.per_minute - time.monotonic())):
                self.asked += 1
                self.got += session.get(self.base_url + ORGANIZATION, timeout=10).ok

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Call until the block ends."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@dataclass(frozen=True)
class Count:
    """What everybody got: `budget` is what the twin allowed in the time."""

    refused: int
    foreign_asked: int
    foreign_got: int
    ours: int
    budget: float

    @property
    def foreign_share(self) -> float:
        """Share of the foreign calls that were answered."""
        return self.foreign_got / self.foreign_asked if self.foreign_asked else 1.0

    @property
    def our_share(self) -> float:
        """Share of what the foreign client left that we used."""
        return self.ours / (self.budget - self.foreign_asked)


def crowd(
    twin: TwinServer,
    worker: Worker,
    *,
    seconds: float,
    processes: int = 2,
    foreign_per_minute: float = 0.0,
    restart_every: float | None = None,
) -> Count:
    """Let everybody call for `seconds` from our first request on, and count.

    Args:
        twin: Whom they call.
        worker: What our processes are.
        seconds: How long they are counted.
        processes: How many of ours there are.
        foreign_per_minute: How often somebody else calls.
        restart_every: Seconds after which all our processes are killed and started again, over and over.
    """
    foreigner = Foreigner(worker.base_url, foreign_per_minute)
    workers = _started(worker, processes)
    try:
        _until(lambda: bool(_stats(twin)["by_status"]), workers)
        ends = time.monotonic() + seconds
        with foreigner.calling() if foreign_per_minute else nullcontext():
            while (left := ends - time.monotonic()) > 0:
                time.sleep(min(left, restart_every or left))
                if restart_every and time.monotonic() < ends:
                    _killed(workers)
                    workers = _started(worker, processes)
        by_status = _stats(twin)["by_status"]
    finally:
        _killed(workers)
    return Count(
        refused=by_status.get("429", 0),
        foreign_asked=foreigner.asked,
        foreign_got=foreigner.got,
        ours=by_status.get("200", 0) - foreigner.got,
        budget=worker.allowed * seconds / worker.window,
    )


def _started(worker: Worker, processes: int) -> list[subprocess.Popen[bytes]]:
    return [worker.start() for _ in range(processes)]


def _killed(workers: list[subprocess.Popen[bytes]]) -> None:
    for process in workers:
        process.kill()
    for process in workers:
        process.communicate()


def _until(happened: Callable[[], bool], workers: list[subprocess.Popen[bytes]], patience: float = 120.0) -> None:
    ends = time.monotonic() + patience
    while not happened():
        if time.monotonic() > ends or any(process.poll() is not None for process in workers):
            raise TimeoutError("no process of ours has asked for anything")
        time.sleep(0.02)


def _stats(twin: TwinServer) -> dict[str, dict[str, int]]:
    read: dict[str, dict[str, int]] = requests.get(f"{twin.base_url}/_twin/stats", timeout=10).json()
    return read


if __name__ == "__main__":
    Worker(**json.loads(sys.argv[1])).work()
