"""Delivery of one window against the twin: memory of each step from ten thousand rows to a million, contacts a
request, and the share of a rate limit that delivery uses. Each step runs in a process of its own.
"""

import argparse
import json
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from contact_sync.connections import Connections
from contact_sync.contacts.window import Window
from contact_sync.settings import Settings
from contact_sync.simulator.server import TwinServer
from contact_sync.simulator.settings import TwinSettings
from contact_sync.steps.context import open_sync
from contact_sync.steps.deliver import deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync_tests.bench_twin import say
from contact_sync_tests.steps.world import START, settings_of

STEPS = ("extract", "normalize", "match", "deliver")
WINDOW = Window(START, START + timedelta(minutes=30))
MINUTES = 3
ALLOWED = 300


def main() -> None:
    """Measure, print, and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--skip-pace", action="store_true", help="leave out the minutes against a rate limit")
    asked = parser.parse_args()
    passed = _memory(asked.rows)
    if not asked.skip_pace:
        passed = _pace(reserve=0.1, bar=0.88) and _pace(reserve=0.0, bar=0.97) and passed
    sys.exit(0 if passed else 1)


def _memory(sizes: list[int]) -> bool:
    say(f"{'rows':>10}" + "".join(f"{step + ' MB':>14}{'s':>7}" for step in STEPS) + f"{'contacts/request':>18}")
    peaks, full = [], True
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder, _twin(1_000_000) as base_url:
            fill(Path(folder) / "crm.db", rows)
            told = {step: _in_a_process(step, folder, base_url, reserve=0.1) for step in STEPS}
        ratio = rows / told["deliver"]["writes"]
        cells = (f"{told[step]['megabytes']:>14,.0f}{told[step]['seconds']:>7.0f}" for step in STEPS)
        say(f"{rows:>10,}" + "".join(cells) + f"{ratio:>18.2f}")
        peaks.append(told["deliver"]["megabytes"])
        full = full and ratio >= 9.9
    say(f"delivery's memory, last to first: {peaks[-1] / peaks[0]:.2f}")
    return full and peaks[-1] <= 1.25 * peaks[0]


def _pace(*, reserve: float, bar: float) -> bool:
    """Deliver against the limit that Genesys has, for whole windows of it, and say what share of it was used."""
    rows = 10 * ALLOWED * (MINUTES + 1)
    with tempfile.TemporaryDirectory() as folder, _twin(ALLOWED) as base_url:
        fill(Path(folder) / "crm.db", rows)
        for step in STEPS[:-1]:
            _in_a_process(step, folder, base_url, reserve=reserve)
        told = _in_a_process("deliver", folder, base_url, reserve=reserve, seconds=60.0 * MINUTES)
    share = told["requests"] / (ALLOWED * told["seconds"] / 60.0)
    spent = f"{told['requests']:.0f} requests in {told['seconds']:.0f} s"
    say(f"reserve {reserve:.0%}: {spent}, {share:.1%} of the limit")
    return share >= bar


@contextmanager
def _twin(per_minute: int) -> Iterator[str]:
    """Serve a twin in a process of its own, so that its memory is not ours."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, per_minute), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Connection, per_minute: int) -> None:
    with TwinServer(TwinSettings(requests_per_minute=per_minute)) as twin:
        pipe.send(twin.base_url)
        pipe.recv()


def _in_a_process(
    step: str, folder: str, base_url: str, *, reserve: float, seconds: float = 0.0
) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_step, args=(its, step, folder, base_url, reserve, seconds))
    process.start()
    told: dict[str, float] = json.loads(ours.recv())
    process.join()
    return told


class _EnoughError(Exception):
    """The time of the measurement is over."""


def _step(pipe: Connection, step: str, folder: str, base_url: str, reserve: float, seconds: float) -> None:
    """Run one step and tell what it took; delivery ends early after `seconds`, if any are given."""
    started = time.monotonic()

    def until(_window: Window, _ended: int, _rows: int) -> None:
        if seconds and time.monotonic() - started > seconds:
            raise _EnoughError

    with open_sync(settings(folder, reserve), connections(folder, base_url)) as context:
        try:
            if step == "deliver":
                list(deliver(context, [WINDOW], "bench", until))
            elif step == "match":
                match(context, [WINDOW])
            else:
                {"extract": extract, "normalize": normalize}[step](context, WINDOW)
        except _EnoughError:
            pass
        told = {"requests": context.genesys.requests_sent, "writes": context.genesys.writes_sent}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(json.dumps(told | {"megabytes": peak, "seconds": time.monotonic() - started}))


def settings(folder: str, reserve: float) -> Settings:
    return settings_of(
        delivery={"requests_per_minute": ALLOWED, "reserve": reserve},
        frames=f"{folder}/frames",
    )


def connections(folder: str, base_url: str) -> Connections:
    return Connections(
        crm_url=f"sqlite:///{folder}/crm.db",
        state_url=f"sqlite:///{folder}/state.db",
        genesys_client_id="twin-client",
        genesys_client_secret="twin-secret",
        genesys_base_url=base_url,
    )


def fill(path: Path, rows: int) -> None:
    """Create a CRM with unrelated people who all changed in the window."""
    columns = (
        "id, updated_at, is_deleted, merged_into, account_id, first_name, last_name, job_title, email, "
        "work_phone, mobile_phone, city, country"
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE contacts ({columns}, PRIMARY KEY (id))")
        connection.execute("CREATE INDEX by_change ON contacts (updated_at, id)")
        connection.executemany(
            f"INSERT INTO contacts VALUES ({', '.join('?' * 13)})",  # noqa: S608 (our own names)
            (_person(number, rows) for number in range(rows)),
        )


def _person(number: int, rows: int) -> tuple[object, ...]:
    at = datetime.fromtimestamp(START.timestamp() + 1700 * number / rows, UTC).replace(tzinfo=None)
    return (
        f"003{number:015}",
        at.isoformat(" ", "microseconds"),
        0,
        None,
        f"001{number // 50:015}",
        f"First{number}",
        f"Last{number}",
        "Buyer",
        f"p{number}@example.org",
        None,
        f"+49151{10_000_000 + number:08}",
        "Berlin",
        "DE",
    )


if __name__ == "__main__":
    main()
