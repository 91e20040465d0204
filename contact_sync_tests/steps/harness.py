"""A whole sync in one object: a small CRM, a twin of Genesys, the state and the frames.

What belongs here: wiring, and reading what is where as plain data. What must hold belongs to the tests.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import requests
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmSource
from contact_sync.crm.sql import SqlSource, SqlTable
from contact_sync.genesys.auth import TokenManager
from contact_sync.genesys.client import GenesysClient
from contact_sync.genesys.payloads import canonical, external_ids
from contact_sync.genesys.regions import resolve
from contact_sync.genesys.transport import Transport
from contact_sync.settings import Settings
from contact_sync.simulator.server import TwinServer
from contact_sync.state.database import open_database
from contact_sync.state.frames import FrameStore
from contact_sync.state.pace import SharedPace
from contact_sync.state.store import Store
from contact_sync.state.tables import METADATA
from contact_sync.steps.context import SyncContext
from contact_sync.steps.deliver import Delivered, Progress, deliver
from contact_sync.steps.extract import extract
from contact_sync.steps.match import match
from contact_sync.steps.mirror import Mirrored, mirror
from contact_sync.steps.normalize import normalize
from contact_sync.steps.report import report
from contact_sync.steps.retry import Retried, retry
from contact_sync.steps.sources import external_source
from contact_sync_tests.genesys.conftest import Clock as PaceClock
from contact_sync_tests.steps.world import DELIVERY, Clock, SmallCrm, settings_of, window

Row = dict[str, Any]


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
    pace_clock: PaceClock = field(default_factory=PaceClock)
    runs: int = 0
    retried: Retried = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.crm = SmallCrm(self.folder / "crm.db")
        self.engine = open_database(self.state_url or f"sqlite:///{self.folder / 'state.db'}")
        self.context = self._context()

    def reopen(self) -> None:
        """Open everything again, as the next run does."""
        self.context.source.close()
        self.context = self._context()

    def configure(self, **delivery: float) -> None:
        """Change settings of delivery and open everything again."""
        self.settings = settings_of(delivery=DELIVERY | delivery)
        self.reopen()

    def source(self) -> CrmSource:
        """Return the CRM, opened anew."""
        settings = self.settings
        table = settings.crm.kind
        assert isinstance(table, SqlTable)
        return SqlSource(
            f"sqlite:///{self.crm.path}",
            table,
            settings.registry.crm_fields,
            name=settings.crm.name,
            settle=settings.sync.settle,
            clock=self.clock,
            page_size=settings.crm.page_size,
        )

    def _context(self) -> SyncContext:
        settings, hosts = self.settings, resolve(None, self.twin.base_url)
        tokens = TokenManager(hosts, *self.credentials, session=self.session, clock=self.pace_clock)
        delivery = settings.delivery
        pace = SharedPace(
            self.engine,
            "twin",
            allowed=delivery.requests_per_minute,
            reserve=delivery.reserve,
            clock=self.pace_clock,
        )
        genesys = GenesysClient(
            Transport(hosts, tokens, pace, session=self.session, sleep=self.pace_clock.sleep, attempts=2)
        )
        frames = FrameStore(self.frames or str(self.folder / "frames"), settings.crm.name)
        return SyncContext(settings, self.source(), Store(self.engine), frames, genesys, pace, self.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self.context.source.close()
        self.engine.dispose()
        self.session.close()

    # The steps.

    def read(self, *numbers: int) -> None:
        for number in numbers:
            extract(self.context, window(number))
            normalize(self.context, window(number))

    def plan(self, *numbers: int) -> None:
        match(self.context, [window(number) for number in numbers])

    def deliver(self, *numbers: int, progress: Progress | None = None) -> list[Delivered]:
        self.runs += 1
        delivered = list(deliver(self.context, [window(one) for one in numbers], f"run {self.runs}", progress))
        for number in numbers:
            report(self.context, window(number))
        return delivered

    def sync(self, *numbers: int, progress: Progress | None = None) -> dict[str, int]:
        """Run all five steps over windows; return the rows by outcome."""
        self.read(*numbers)
        self.plan(*numbers)
        counts: Counter[str] = Counter()
        for one in self.deliver(*numbers, progress=progress):
            counts.update({outcome: count for outcome, count in one.counts.items() if count})
        return dict(counts)

    def retry(self) -> dict[str, int]:
        """Work off the retry queue; return the changes by outcome."""
        self.runs += 1
        self.retried = retry(self.context, f"run {self.runs}")
        return {outcome: count for outcome, count in self.retried.counts.items() if count}

    def mirror(self) -> Mirrored:
        """Scan all contacts of the twin."""
        return mirror(self.context)

    def later(self, **time: float) -> None:
        """Let time pass."""
        self.clock.now += timedelta(**time)

    # What is where.

    def contacts(self) -> list[Held]:
        """Return every contact of the twin, by its CRM ids."""
        sources = self.twin.store.sources.dump()["sources"].items()
        ours = {source_id for source_id, source in sources if source["name"] == external_source("crm")}
        held = [
            Held(one, canonical(entity), frozenset(x.value for x in external_ids(entity) if x.source_id in ours))
            for one, entity in self.twin.store.contacts.store
        ]
        return sorted(held, key=lambda one: sorted(one.records))

    def records(self) -> dict[str, list[str]]:
        """Return the CRM ids that each contact carries, by the contact's id."""
        return {one.id: sorted(one.records) for one in self.contacts()}

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
        return sorted(self.context.store.ledger.committed(self.context.source.name))
