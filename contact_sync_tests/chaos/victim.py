"""A process that syncs until it is done or killed.

What belongs here: what it does, what it leaves in its journal, and dying where it is told to. Starting it, and
what must be true afterwards, belongs to `life`.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from contact_sync.contacts.window import Window
from contact_sync.genesys.errors import GenesysRetryableError
from contact_sync.simulator.server import TwinServer
from contact_sync.state.database import StateError
from contact_sync.state.frames import PIECE
from contact_sync.steps import deliver as delivery
from contact_sync.steps import sending
from contact_sync.steps.deliver import deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync.steps.pipeline import sync
from contact_sync.steps.report import report
from contact_sync.steps.retry import retry
from contact_sync_tests.chaos import places, story
from contact_sync_tests.genesys.conftest import Clock as PaceClock
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import Clock, window

JOURNAL = "journal"
TRY_LATER = 75
"""Ends a process that Genesys did not answer."""


@dataclass(frozen=True)
class Order:
    """What a process is to do: sync what is missing of the first `chapters` windows, then retry what is due.

    Attributes:
        folder: Where the CRM, the frames, the journal and perhaps the state are.
        base_url: The twin's.
        state_url: The state database's; empty for SQLite in the folder.
        attempt: A number that grows from process to process; an hour passes between two.
        chapters: Windows that have closed.
        at: The moment at which it dies.
        nth: At which passing of it.
        waits: Whether it only tells that it is there, for somebody else to kill it later.
        together: Whether each step is done for all windows before the next, as Dagster does it.
        piece: Rows that are planned at once.
    """

    folder: Path
    base_url: str
    state_url: str
    attempt: int
    chapters: int
    at: str = ""
    nth: int = 1
    waits: bool = False
    together: bool = False
    piece: int = PIECE


def run(order: Order, told: Connection) -> None:
    """Carry out an order, watched, in a process of its own."""
    places.watch(_Journal(order, told).note)
    delivery.PIECE = order.piece  # type: ignore[attr-defined]
    sending.MAX_UPSERTS, sending.MAX_REMOVALS = story.ITEMS_A_REQUEST  # type: ignore[attr-defined]
    twin = cast("TwinServer", SimpleNamespace(base_url=order.base_url))  # it is in another process
    hours = order.attempt * timedelta(hours=1)
    with Sync(
        order.folder,
        twin,
        order.state_url,
        settings=story.settings(),
        clock=Clock(Clock.now + hours),
        pace_clock=PaceClock(PaceClock.now + hours.total_seconds()),
    ) as opened:
        try:
            work(opened, order.chapters, f"attempt {order.attempt}", together=order.together)
        except GenesysRetryableError:  # three requests in a row without an answer
            sys.exit(TRY_LATER)


class _Journal:
    """Every moment that was passed, written at once; and what happens at the one of the order."""

    def __init__(self, order: Order, told: Connection) -> None:
        self._order = order
        self._told = told
        self._file = os.open(order.folder / JOURNAL, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, moment: str) -> None:
        with self._lock:
            os.write(self._file, f"{self._order.attempt} {moment}\n".encode())
            self._passed[moment] += 1
            if moment == self._order.at and self._passed[moment] == self._order.nth:
                if not self._order.waits:
                    os.kill(os.getpid(), signal.SIGKILL)
                self._told.send_bytes(moment.encode())


def work(opened: Sync, chapters: int, run_id: str, *, together: bool) -> None:
    """Sync what is missing of the first `chapters` windows, then retry what is due, as schedule and sensors do."""
    context = opened.context
    committed = context.store.ledger.committed(context.source.name)
    missing = [one for one in map(window, range(chapters)) if one not in committed]
    if together:
        _step_by_step(opened, missing, run_id)
    else:
        list(sync(context, missing, run_id))
    for one in committed:
        try:
            context.frames.read("sync_report", one)
        except StateError:  # somebody died right after the commit
            report(context, one)
    retry(context, run_id)


def _step_by_step(opened: Sync, windows: Sequence[Window], run_id: str) -> None:
    for one in windows:
        extract(opened.context, one)
    for one in windows:
        normalize(opened.context, one)
    match(opened.context, windows)
    list(deliver(opened.context, windows, run_id))
    for one in windows:
        report(opened.context, one)
