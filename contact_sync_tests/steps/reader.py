"""Windows read from a SQL CRM and committed as a delivery would, without Genesys: fast, on SQLite or PostgreSQL.

What belongs here: the CRM, its clock, and what of it has arrived. What must hold belongs to the tests.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from contact_sync.contacts.identity import Link
from contact_sync.contacts.schemas import records
from contact_sync.contacts.window import Window
from contact_sync.crm.source import Change, Stamp
from contact_sync.crm.sql import SqlSource
from contact_sync.state.database import open_database
from contact_sync.state.delivery import Delivery
from contact_sync.state.frames import FrameStore
from contact_sync.state.store import Store
from contact_sync.state.tables import CONTACT_LINK
from contact_sync.steps.audit import Audited, audit
from contact_sync.steps.context import SyncContext
from contact_sync.steps.extract import extract
from contact_sync.steps.lag import await_closed
from contact_sync.steps.seen import STAMPED
from contact_sync.steps.windows import Standing, windows_now
from contact_sync_tests.crm.sql_harness import SqlHarness
from contact_sync_tests.steps.world import FREQUENCY, START, Clock, settings_of, window

FIELDS = {"first_name": "firstName", "email": "workEmail"}


class WatchedSource(SqlSource):
    """A source that counts what it is asked for, with a clock that tests move."""

    rows = 0
    listed = 0

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        for page in super().changes(window):
            self.rows += len(page)
            yield page

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        self.listed += 1
        return super().stamps(window)

    def horizon(self) -> datetime:
        return self._clock() - self._settle

    def server_time(self) -> datetime | None:
        return None


class Reader:
    """One CRM, its windows and what has arrived of them."""

    def __init__(self, folder: Path, crm: SqlHarness, **sync: object) -> None:
        self.crm = crm
        self.clock = Clock(START)
        settings = settings_of(
            crm={"table": crm.settings.model_dump(by_alias=True)},
            registry={"fields": [{"crm": column, "genesys": field} for column, field in FIELDS.items()]},
            sync={"start": START} | sync,
        )
        self.source = WatchedSource(
            crm.url, crm.settings, list(FIELDS), name="crm", settle=settings.sync.settle, clock=self.clock
        )
        self.engine = open_database(f"sqlite:///{folder / 'state.db'}")
        nobody = cast("Any", None)
        frames = FrameStore(str(folder / "frames"), "crm")
        self.context = SyncContext(
            settings, self.source, Store(self.engine), frames, nobody, nobody, self.clock, sleep=self.pass_time
        )

    def close(self) -> None:
        self.source.close()
        self.engine.dispose()

    def pass_time(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)

    def run(self, *numbers: int) -> None:
        """Read and commit windows, each three minutes after its end unless it is later already."""
        for number in numbers:
            self.run_window(window(number))

    def run_window(self, one: Window) -> None:
        """Read and commit a window."""
        self.clock.now = max(self.clock.now, one.end + timedelta(minutes=3))
        await_closed(self.context, one)
        extract(self.context, one)
        self.commit(one)

    def commit(self, one: Window) -> None:
        """Take in what was read in a window, as a delivery does: older versions never replace newer ones."""
        frame = self.context.frames.read("crm_delta", one)
        links = [
            Link(("crm", row["crm_id"]), row["crm_id"], None, row["version"], row["modified_at"], row["read_at"])
            for row in records(frame)
        ]
        newest = {link.record: link for link in sorted(links, key=lambda link: link.age)}
        self.context.store.record(Delivery(links=list(newest.values())), self.clock())
        self.context.store.ledger.commit(
            {
                "source": "crm",
                "window_start": one.start,
                "window_end": one.end,
                "rows_read": len(frame),
                "outcomes": {},
                "requests": 0,
                "writes": 0,
                "seconds": 0.0,
                "digest": self.context.tally("crm_delta", one).digest,
                "newest_modified_at": None,
                "run_id": "run",
                "committed_at": self.clock(),
            }
        )

    def audit(self) -> Audited:
        return audit(self.context)

    def recover(self) -> dict[int, str]:
        """Audit, run what was reopened, and return what that was."""
        reopened = {number_of(one): why for one, why in self.audit().reopened.items()}
        self.run(*reopened)
        return reopened

    def standing(self) -> Standing:
        return windows_now(self.context)

    def ids(self, number: int) -> list[str]:
        return sorted(self.context.frames.read("crm_delta", window(number))["crm_id"])

    def missed(self) -> set[str]:
        """Return the records of the CRM whose present version has not arrived."""
        with self.crm.engine.connect() as connection:
            there = {row.id for row in connection.execute(sa.select(self.crm.table.c.id))}
        current = {
            change.crm_id: (change.version, change.kind)
            for page in self.source.current(sorted(there))
            for change in page
        }
        with self.engine.begin() as connection:
            arrived = {row.crm_id: row.version for row in connection.execute(sa.select(CONTACT_LINK))}
        return {one for one, (version, _) in current.items() if arrived.get(one, "").split(STAMPED)[0] != version}


def number_of(one: Window) -> int:
    return (one.start - START) // FREQUENCY.length


@contextmanager
def reading(folder: Path, url: str | None = None, *, zoned: bool = False, **sync: object) -> Iterator[Reader]:
    """Open a reader over an empty CRM; `zoned` columns keep their offset."""
    crm = SqlHarness(url or f"sqlite:///{folder / 'crm.db'}", sa.DateTime(timezone=zoned))
    reader = Reader(folder, crm, **sync)
    try:
        yield reader
    finally:
        reader.close()
        crm.close()
