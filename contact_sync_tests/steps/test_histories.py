"""Any history of a CRM, synced in any order: nothing gets lost, goes back, or is sent twice.

A history is what happened to a few people's records, window by window. Every window is read as it was at its time,
some are planned at once, then they are delivered, synced again and delivered late in any order, whole or in
pieces; deletes are sent at once or wait for their grace period; what Genesys does not take is tried again. What a
person's contact must be in the end is told here in a few lines that share nothing with the planner.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contact_sync.simulator.server import TwinServer
from contact_sync.state.frames import PIECE
from contact_sync.steps import deliver, retry
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.conftest import emptied
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment

WINDOWS = 3
FIELDS = {"job_title": "title", "mobile_phone": "cellPhone", "city": "address.city"}
VALUES = {
    "job_title": ("Buyer", "Engineer", None),
    "mobile_phone": ("+4915112345678", "+4915187654321", None),
    "city": ("Berlin", "Paris", None),
}


@dataclass(frozen=True)
class Event:
    """Something that happens: to the record that `pick` points at, at a minute of the window."""

    kind: str
    pick: int
    minute: int  # 25 is read by the next window too
    column: str = "job_title"
    value: int = 0


@dataclass(frozen=True)
class Way:
    """How windows are delivered.

    Attributes:
        piece: Rows of a piece.
        grace: Minutes that a delete waits.
        concurrency: Requests under way at once.
        trouble: The steps in which Genesys does not take the first person's contact.
    """

    piece: int = PIECE
    grace: int = 0
    concurrency: int = 1
    trouble: frozenset[int] = frozenset()


@dataclass
class Record:
    crm_id: str
    person: int
    at: datetime
    deleted: bool = False
    columns: dict[str, str | None] = field(default_factory=dict)


class History:
    """Lets events happen in the CRM, and remembers the records as they are."""

    def __init__(self, sync: Sync) -> None:
        self._sync = sync
        self.records: list[Record] = []

    def live(self, number: int, events: Sequence[Event]) -> None:
        for event in sorted(events, key=lambda one: one.minute):
            self._happen(event, moment(number, event.minute))

    def _happen(self, event: Event, at: datetime) -> None:
        if event.kind == "new" or not self.records:
            self._write(Record(f"r{len(self.records)}", event.pick % 2, at))
            return
        record = self.records[event.pick % len(self.records)]
        record.at = at
        if event.kind == "change":
            record.columns[event.column] = VALUES[event.column][event.value]
        elif event.kind == "re-index" and not record.deleted:
            self._write(Record(f"r{len(self.records)}", record.person, at, columns=dict(record.columns)))
            record.deleted = True
        else:
            record.deleted = event.kind == "delete"
        self._write(record)

    def _write(self, record: Record) -> None:
        name = ("Ada", "Grace")[record.person]
        person = {
            "first_name": name,
            "last_name": "Lovelace",
            "email": f"{name}@example.org",
            "account_id": "acme",
        }
        self._sync.crm.put(record.crm_id, record.at, **person, **record.columns, is_deleted=int(record.deleted))
        if record not in self.records:
            self.records.append(record)

    def contacts(self) -> Iterator[tuple[frozenset[str], dict[str, str]]]:
        """Yield what Genesys must hold: the records of each person, and what they say together."""
        for person in (0, 1):
            living = [one for one in self.records if one.person == person and not one.deleted]
            newest = sorted(living, key=lambda one: (one.at, one.crm_id), reverse=True)
            said = {
                target: next((value for one in newest if (value := one.columns.get(column))), None)
                for column, target in FIELDS.items()
            }
            if living:
                yield (
                    frozenset(one.crm_id for one in living),
                    {name: value for name, value in said.items() if value},
                )


events = st.builds(
    Event,
    kind=st.sampled_from(["new", "change", "change", "delete", "restore", "re-index"]),
    pick=st.integers(0, 5),
    minute=st.sampled_from([12, 18, 25]),
    column=st.sampled_from(sorted(FIELDS)),
    value=st.integers(0, 2),
)
histories = st.lists(st.lists(events, max_size=4), min_size=WINDOWS, max_size=WINDOWS)
numbers = st.integers(0, WINDOWS - 1)
steps = st.lists(st.tuples(st.sampled_from(["plan", "deliver", "sync", "retry"]), numbers), max_size=3)
ways = st.builds(
    Way,
    piece=st.sampled_from([1, 2, 3, PIECE]),
    grace=st.sampled_from([0, 0, 15]),
    concurrency=st.integers(1, 3),
    trouble=st.frozensets(st.integers(0, WINDOWS + 2), max_size=3),
)


@contextmanager
def fresh(twin: TwinServer, factory: pytest.TempPathFactory, way: Way) -> Iterator[Sync]:
    folder: Path = factory.mktemp("history")
    with Sync(folder, emptied(twin)) as sync, pytest.MonkeyPatch.context() as patch:
        sync.configure(delete_grace_minutes=way.grace, concurrency=way.concurrency)
        for module in (deliver, retry):
            patch.setattr(module, "PIECE", way.piece)
        yield sync


def new(pick: int, minute: int = 12) -> Event:
    return Event("new", pick, minute)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories, early=st.sets(numbers), then=steps, last=st.permutations(range(WINDOWS)), way=ways)
@example(
    history=[[new(0)], [Event("change", 0, 12, value=0)], [Event("change", 0, 12, value=2)]],
    early=set(),
    then=[("deliver", 0), ("plan", 1), ("deliver", 2), ("deliver", 1)],
    last=[0, 1, 2],
    way=Way(),
)
@example(history=[[new(0, 25)], [], []], early=set(), then=[("deliver", 1)], last=[2, 1, 0], way=Way())
def test_every_order_ends_with_the_same_contacts_and_then_falls_silent(
    shared_twin: TwinServer,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[Event]],
    early: set[int],
    then: list[tuple[str, int]],
    last: list[int],
    way: Way,
) -> None:
    with fresh(shared_twin, tmp_path_factory, way) as sync:
        lived = History(sync)
        for number, happened in enumerate(history):
            lived.live(number, happened)
            sync.read(number)
            if number in early:
                sync.plan(number)
        sync.plan(*sorted(set(range(WINDOWS)) - early))
        answers = Answers(sync.session)
        for turn, (step, number) in enumerate([*then, *(("deliver", number) for number in last)]):
            answers.pass_on()
            if turn in way.trouble:
                answers.refuse_items("Ada", 503, "service.unavailable", retryable=True)
            if step == "retry":
                sync.retry()
                continue
            getattr(sync, step)(number)
            if step != "plan":
                assert_accounted(sync, number)
        answers.pass_on()
        if way.grace:
            sync.sync(WINDOWS)  # where the last deletes' grace period ends
        sync.later(days=1)
        sync.retry()
        held = [
            (one.records, {name: value for name, value in one.fields.items() if name in FIELDS.values()})
            for one in sync.contacts()
        ]
        assert held == sorted(lived.contacts(), key=lambda one: sorted(one[0]))
        assert sync.queue() == {}
        assert sync.writes(lambda: sync.sync(*range(WINDOWS))) == 0
