"""A whole sync in one object: a small CRM, a twin of Genesys, the state, the frames, and a clock that tests own.

What belongs here: wiring, and reading what is where as plain data. What must hold belongs to the tests.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from contact_sync.contacts.window import Frequency, Window
from contact_sync.crm.sql import SqlSource
from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.payloads import canonical, external_ids
from contact_sync.genesys.regions import resolve
from contact_sync.settings import CONFIG_VARIABLE, Settings
from contact_sync.simulator.server import TwinServer
from contact_sync.state.database import open_database
from contact_sync.state.frames import FrameStore
from contact_sync.state.pace import SharedPace
from contact_sync.state.store import Store
from contact_sync.state.tables import METADATA
from contact_sync.steps.context import SyncContext
from contact_sync.steps.deliver import Delivered, Progress, deliver, external_source
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.normalize import normalize
from contact_sync.steps.report import report

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
FREQUENCY = Frequency.THIRTY_MINUTES
REGISTRY = {
    "account_id": "account",
    "first_name": "firstName",
    "last_name": "lastName",
    "job_title": "title",
    "email": "workEmail",
    "work_phone": "workPhone",
    "mobile_phone": "cellPhone",
    "city": "address.city",
    "country": "region",
}
_COLUMNS = ("id", "updated_at", "is_deleted", "merged_into", *REGISTRY)

Row = dict[str, Any]


def window(number: int) -> Window:
    return Window(START + number * FREQUENCY.length, START + (number + 1) * FREQUENCY.length)


def moment(number: int, minute: float = 15) -> datetime:
    """Return an instant of a window. The first ten minutes before a window belong to its overlap too."""
    return window(number).start + timedelta(minutes=minute)


def settings_of(**values: Any) -> Settings:  # noqa: ANN401 -- settings of any type
    """Return settings that no file and no environment has a say in."""
    table = {"name": "contacts", "id": "id", "modified_at": "updated_at"}
    defaults: dict[str, Any] = {
        "crm": {"table": table | {"deleted": "is_deleted", "merged_into": "merged_into"}},
        "registry": {"fields": [{"crm": crm, "genesys": genesys} for crm, genesys in REGISTRY.items()]},
        "sync": {"start": START},
        "delivery": {"requests_per_minute": 100_000},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, "/dev/null")
        return Settings(**(defaults | values))


@dataclass
class Clock:
    """A millisecond passes whenever somebody looks, so that a later read is later."""

    now: datetime = START + timedelta(days=2)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dataclass(frozen=True)
class Held:
    """A contact as the twin holds it; `records` are the CRM ids that it carries."""

    id: str
    fields: dict[str, str]
    records: frozenset[str]


@dataclass
class Sync:
    """One CRM, one Genesys organisation, one state database and one folder of frames."""

    folder: Path
    twin: TwinServer
    state_url: str = ""
    frames: str = ""
    settings: Settings = field(default_factory=settings_of)
    session: requests.Session = field(default_factory=requests.Session)
    credentials: tuple[str, str] = ("twin-client", "twin-secret")
    clock: Clock = field(default_factory=Clock)
    runs: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.crm = self.folder / "crm.db"
        if not self.crm.exists():
            self._execute(f"CREATE TABLE contacts ({', '.join(_COLUMNS)}, shoe_size, PRIMARY KEY (id))")
        self.engine = open_database(self.state_url or f"sqlite:///{self.folder / 'state.db'}")
        self.context = self._context()

    def _context(self) -> SyncContext:
        settings, hosts = self.settings, resolve(None, self.twin.base_url)
        source = SqlSource(
            f"sqlite:///{self.crm}",
            settings.crm.table,
            settings.registry.crm_fields,
            name=settings.crm.name,
            settle=settings.sync.settle,
            clock=self.clock,
            page_size=settings.crm.page_size,
        )
        tokens = TokenManager(hosts, *self.credentials, session=self.session)
        pace = SharedPace(self.engine, "twin", per_minute=settings.delivery.requests_per_minute)
        genesys = GenesysClient(hosts, tokens, pace, session=self.session, sleep=lambda _seconds: None, attempts=2)
        frames = FrameStore(self.frames or str(self.folder / "frames"), settings.crm.name)
        return SyncContext(settings, source, Store(self.engine), frames, genesys, pace, self.clock)

    def close(self) -> None:
        self.context.source.close()  # type: ignore[attr-defined]
        self.engine.dispose()
        self.session.close()

    # The CRM.

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        """Create a record or change the named columns of one."""
        with closing(sqlite3.connect(self.crm)) as connection, connection:
            connection.row_factory = sqlite3.Row
            old = connection.execute("SELECT * FROM contacts WHERE id = ?", (crm_id,)).fetchone()
            row = (dict(old) if old else {"id": crm_id, "is_deleted": 0}) | columns
            row["updated_at"] = at.replace(tzinfo=None).isoformat(" ", "microseconds")
            marks = ", ".join("?" * len(row))
            connection.execute(f"REPLACE INTO contacts ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608 -- our names

    def delete(self, crm_id: str, at: datetime) -> None:
        self.put(crm_id, at, is_deleted=1)

    def people(self, count: int, at: datetime, first: int = 0, **columns: object) -> None:
        """Create unrelated people p0, p1, …"""
        for number in range(first, first + count):
            person = {"first_name": f"First{number}", "last_name": f"Last{number}", "email": f"p{number}@example.org"}
            self.put(f"p{number}", at, **(person | columns))

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.crm)) as connection, connection:
            connection.execute(statement)

    # The steps.

    def read(self, *numbers: int) -> None:
        for number in numbers:
            extract(self.context, window(number))
            normalize(self.context, window(number))

    def plan(self, *numbers: int) -> None:
        match(self.context, [window(number) for number in numbers])

    def deliver(self, *numbers: int, run_id: str = "", progress: Progress | None = None) -> list[Delivered]:
        self.runs += 1
        run_id = run_id or f"run {self.runs}"
        delivered = deliver(self.context, [window(number) for number in numbers], run_id, progress)
        for number in numbers:
            report(self.context, window(number))
        return delivered

    def sync(self, *numbers: int, progress: Progress | None = None) -> dict[str, int]:
        """Run all five steps over windows; return the rows by outcome."""
        self.read(*numbers)
        self.plan(*numbers)
        counts: Counter[str] = Counter()
        for one in self.deliver(*numbers, progress=progress):
            counts.update(one.counts)
        return dict(counts)

    # What is where.

    def contacts(self) -> list[Held]:
        """Return every contact of the twin, by its CRM ids."""
        sources = self.twin.store.sources.dump()["sources"].items()
        records = {source_id for source_id, source in sources if source["name"] == external_source("crm")}
        held = [
            Held(one, canonical(entity), frozenset(x.value for x in external_ids(entity) if x.source_id in records))
            for one, entity in self.twin.store.contacts.store
        ]
        return sorted(held, key=lambda one: sorted(one.records))

    def contact(self, crm_id: str) -> Held:
        (found,) = [one for one in self.contacts() if crm_id in one.records]
        return found

    def stats(self) -> Row:
        return dict(requests.get(f"{self.twin.base_url}/_twin/stats", timeout=5).json())

    def writes(self, work: Callable[[], object]) -> int:
        """Return how many write requests the twin sees during `work`."""
        before = self.stats()["writes"]
        work()
        return int(self.stats()["writes"]) - int(before)

    def table(self, name: str) -> list[Row]:
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(sa.select(METADATA.tables[name])).mappings()]

    def queue(self) -> dict[str, Row]:
        return {row["crm_id"]: row for row in self.table("retry_queue")}

    def committed(self) -> Sequence[Window]:
        return sorted(self.context.store.committed_windows(self.context.source.name))
