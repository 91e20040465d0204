"""Any history of a CRM, synced in any order: nothing gets lost, goes back, or is sent twice.

A history is what happened to a few people's records, window by window: created, changed, duplicated, deleted,
restored, re-indexed, merged, and corrected to be somebody else. Every window is read as it was at its time, some
are planned at once, then they are delivered, synced again and delivered late in any order, whole or in pieces;
deletes are sent at once or wait for their grace period; what Genesys does not take is tried again. What a
person's contact must be in the end is told here in a few lines that share nothing with the planner, and a sync
that starts with nothing must come to the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contact_sync.simulator.faults import Faults
from contact_sync.simulator.server import TwinServer
from contact_sync.state.frames import PIECE
from contact_sync.state.tables import METADATA
from contact_sync.steps import deliver, retry
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.conftest import emptied
from contact_sync_tests.steps.faults import Answers
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment

WINDOWS = 3
DOUBT = Faults(item_error=0.2, item_error_done=0.3)
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
        doubt: The steps in which some contacts are reported as failed, whether or not they were written.
        seed: Of which they are.
    """

    piece: int = PIECE
    grace: int = 0
    concurrency: int = 1
    trouble: frozenset[int] = frozenset()
    doubt: frozenset[int] = frozenset()
    seed: int = 0


@dataclass
class Record:
    crm_id: str
    person: int
    at: datetime
    deleted: bool = False
    merged_into: str | None = None
    columns: dict[str, str | None] = field(default_factory=dict)


class Writable(Protocol):
    """A CRM in which events happen."""

    def put(self, crm_id: str, at: datetime, **columns: object) -> None:
        """Create a record or change the named columns of one."""
        ...


E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)


class Living(Protocol[E_contra]):
    """What events happen to."""

    def live(self, number: int, events: Sequence[E_contra]) -> None:
        """Let the events of a window happen."""
        ...


class History:
    """Lets events happen in the CRM, and remembers the records as they are."""

    def __init__(self, crm: Writable) -> None:
        self._crm = crm
        self.records: list[Record] = []
        self._people = 1

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
        elif event.kind == "merge" and not record.deleted and (others := self._others(record)):
            record.deleted, record.merged_into = True, others[event.value % len(others)].crm_id
        elif event.kind == "correct":
            # Whom nobody has met: two records of one person that each were somebody else before stay two contacts.
            self._people += 1
            record.person = self._people
        elif event.kind == "delete":
            record.deleted = True
        elif event.kind == "restore" and record.person < 2:
            record.deleted, record.merged_into = False, None
        self._write(record)

    def _others(self, record: Record) -> list[Record]:
        return [one for one in self.records if one is not record and not one.deleted]

    def _write(self, record: Record) -> None:
        state = {"is_deleted": int(record.deleted), "merged_into": record.merged_into}
        self._crm.put(record.crm_id, record.at, **somebody(record.person), **record.columns, **state)
        if record not in self.records:
            self.records.append(record)

    def contacts(self) -> Iterator[tuple[frozenset[str], dict[str, str]]]:
        """Yield what Genesys must hold: the records of each person, and what they say together."""
        for person in range(self._people + 1):
            living = [one for one in self.records if one.person == person and not one.deleted]
            newest = sorted(living, key=lambda one: (one.at, one.crm_id), reverse=True)
            said = {
                target: next((value for one in newest if (value := one.columns.get(column))), None)
                for column, target in FIELDS.items()
            }
            if living:
                who = somebody(person)
                said |= {"firstName": who["first_name"], "lastName": "Lovelace", "workEmail": who["email"]}
                yield (
                    frozenset(one.crm_id for one in living),
                    {name: value for name, value in said.items() if value},
                )


def somebody(number: int) -> dict[str, str]:
    name = ("ada", "grace", "bea", "cleo", "dora", "emma", "flora", "gwen", "hedy", "ines", "jane", "kate", "lea")[
        number
    ]
    return {"first_name": name, "last_name": "Lovelace", "email": f"{name}@example.org", "account_id": "acme"}


events = st.builds(
    Event,
    kind=st.sampled_from(["new", "change", "change", "delete", "restore", "re-index", "merge", "correct"]),
    pick=st.integers(0, 5),
    minute=st.sampled_from([12, 18, 25]),
    column=st.sampled_from(sorted(FIELDS)),
    value=st.integers(0, 2),
)
histories = st.lists(st.lists(events, max_size=4), min_size=WINDOWS, max_size=WINDOWS)
numbers = st.integers(0, WINDOWS - 1)
steps = st.lists(st.tuples(st.sampled_from(["plan", "deliver", "sync", "retry", "mirror"]), numbers), max_size=3)
ways = st.builds(
    Way,
    piece=st.sampled_from([1, 2, 3, PIECE]),
    grace=st.sampled_from([0, 0, 15]),
    concurrency=st.integers(1, 3),
    trouble=st.frozensets(st.integers(0, WINDOWS + 2), max_size=3),
    doubt=st.frozensets(st.integers(0, WINDOWS + 2), max_size=4),
    seed=st.integers(0, 9),
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


def any_order_ends_the_same(
    shared_twin: TwinServer,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[Event]],
    early: set[int],
    then: list[tuple[str, int]],
    last: list[int],
    way: Way,
) -> None:
    with fresh(shared_twin, tmp_path_factory, way) as sync:
        lived = History(sync.crm)
        live_through(sync, lived, history, early, [*then, *(("deliver", number) for number in last)], way)
        must_hold = sorted(lived.contacts(), key=lambda one: sorted(one[0]))
        assert held(sync) == must_hold
        assert sync.queue() == {}
        assert sync.writes(lambda: sync.sync(*range(WINDOWS))) == 0
        forget_everything(sync)
        settle(sync, way)
        assert held(sync) == must_hold


Histories = Callable[[Callable[..., None]], Callable[..., None]]

of_any_history: Histories = given(
    history=histories, early=st.sets(numbers), then=steps, last=st.permutations(range(WINDOWS)), way=ways
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@of_any_history
@example(
    history=[[new(0)], [Event("change", 0, 12, value=0)], [Event("change", 0, 12, value=2)]],
    early=set(),
    then=[("deliver", 0), ("plan", 1), ("deliver", 2), ("deliver", 1)],
    last=[0, 1, 2],
    way=Way(),
)
@example(history=[[new(0, 25)], [], []], early=set(), then=[("deliver", 1)], last=[2, 1, 0], way=Way())
@example(
    history=[[new(0), new(0), new(1)], [Event("correct", 1, 12)], [Event("merge", 0, 12, value=1)]],
    early=set(),
    then=[],
    last=[0, 1, 2],
    way=Way(),
)
def test_every_order_ends_with_the_same_contacts_and_then_falls_silent(
    shared_twin: TwinServer,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[Event]],
    early: set[int],
    then: list[tuple[str, int]],
    last: list[int],
    way: Way,
) -> None:
    any_order_ends_the_same(shared_twin, tmp_path_factory, history, early, then, last, way)


def live_through(
    sync: Sync, lived: Living[E], history: list[list[E]], early: set[int], turns: list[tuple[str, int]], way: Way
) -> None:
    for number, happened in enumerate(history):
        lived.live(number, happened)
        sync.read(number)
        if number in early:
            sync.plan(number)
    sync.plan(*sorted(set(range(WINDOWS)) - early))
    answers = Answers(sync.session)
    for turn, (step, number) in enumerate(turns):
        answers.pass_on()
        sync.twin.faults = DOUBT.model_copy(update={"seed": way.seed}) if turn in way.doubt else Faults()
        if turn in way.trouble:
            answers.refuse_items("ada", 503, "service.unavailable", retryable=True)
        if step == "retry":
            sync.retry()
            continue
        if step == "mirror":
            sync.mirror()
            continue
        getattr(sync, step)(number)
        if step != "plan":
            assert_accounted(sync, number)
    answers.pass_on()
    sync.twin.faults = Faults()
    settle(sync, way, synced=True)


def settle(sync: Sync, way: Way, *, synced: bool = False) -> None:
    """Let everything that waits come to its end."""
    if not synced:
        sync.sync(*range(WINDOWS))
    if way.grace:
        sync.sync(WINDOWS)  # where the last deletes' grace period ends
    sync.later(days=1)
    sync.retry()


def forget_everything(sync: Sync) -> None:
    emptied(sync.twin)
    with sync.engine.begin() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(table.delete())
    sync.reopen()


def held(sync: Sync) -> list[tuple[frozenset[str], dict[str, str]]]:
    return [(one.records, one.fields) for one in sync.contacts()]
