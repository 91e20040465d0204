"""A run that is planned in portions has the very plan of a run that is planned at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from contact_sync.contacts.identity import Link
from contact_sync.contacts.schemas import DEDUP_MATCHES, NORMALIZED_CONTACTS, check, frame_of
from contact_sync.contacts.seen import Seen
from contact_sync.simulator.server import TwinServer
from contact_sync.state.delivery import Delivery
from contact_sync.state.mirror import Scan
from contact_sync.state.tables import CONTACT_LINK, GENESYS_MIRROR, IN_FLIGHT, MIRROR_IDENTIFIER
from contact_sync.steps import match
from contact_sync.steps.context import SyncContext
from contact_sync_tests.contacts.builders import link, moment, person, record
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import settings_of, window

SOURCE = "crm"
IDS = [str(number) for number in range(9)]
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run to plan: what is stored, what requests carried without an answer, and the rows of its windows."""

    stored: Sequence[Link] = ()
    seen: Sequence[Seen] = ()
    unanswered: Sequence[Link] = ()
    windows: Sequence[Sequence[Row]] = field(default=([],))
    max_deletes: int = 1000


values = st.fixed_dictionaries(
    {},
    optional={
        "firstName": st.sampled_from(["Ana", "Eva", "Zoe"]),
        "lastName": st.sampled_from(["Lopez", "Perez"]),
        "workEmail": st.sampled_from(["a@example.com", "b@example.com", "c@example.com"]),
        "cellPhone": st.sampled_from(["+12125708393", "+12125708394", "+12125708395"]),
        "account": st.sampled_from(["A-1", "A-2"]),
    },
)


@st.composite
def links(draw: st.DrawFn, *, tombstones: bool) -> Link:
    said = dict(draw(values))
    contacts = ["G1", "G2", "G3", "G4", *([None] if tombstones else ["new:7"])]
    contact, account = draw(st.sampled_from(contacts)), said.pop("account", None)
    return link(draw(st.sampled_from(IDS)), contact, said, account=account, at=draw(st.integers(0, 3)))


@st.composite
def contacts(draw: st.DrawFn) -> Seen:
    said = {name: value for name, value in draw(values).items() if name != "account"}
    ids = draw(
        st.lists(st.sampled_from([(SOURCE, "1"), (SOURCE, "2"), ("@foreign", "x")]), max_size=2, unique=True)
    )
    return Seen(draw(st.sampled_from(["G1", "G5", "G6"])), said, tuple(ids), adopted=draw(st.booleans()))


@st.composite
def rows(draw: st.DrawFn, read: int) -> Row:
    crm_id, at = draw(st.sampled_from(IDS)), draw(st.integers(1, 8))
    kind = draw(st.sampled_from(["upsert", "upsert", "upsert", "upsert", "delete", "merge"]))
    if kind != "upsert":
        loser = {"merged_into": draw(st.sampled_from(IDS))} if kind == "merge" else {}
        return record(crm_id, loser, at=at, read=read, kind=kind)
    if draw(st.integers(0, 9)) == 0:
        return record(crm_id, at=at, read=read, state="held", reason="nobody")
    return record(crm_id, draw(values), at=at, read=read)


@st.composite
def unanswered(draw: st.DrawFn) -> list[Link]:
    """Draw what requests carried; the record that a new contact is named after is there before others join it."""
    sent = draw(st.lists(links(tombstones=False), max_size=3, unique_by=lambda one: one.record))
    joined = any(one.contact == "new:7" for one in sent)
    return (
        [one for one in sent if one.record != (SOURCE, "7")] + [link("7", "new:7", person(7))] if joined else sent
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    return Run(
        draw(st.lists(links(tombstones=True), max_size=6, unique_by=lambda one: one.record)),
        draw(st.lists(contacts(), max_size=2, unique_by=lambda one: one.contact)),
        draw(unanswered()),
        [
            draw(st.lists(rows(read), max_size=9, unique_by=lambda row: row["crm_id"]))
            for read in range(draw(st.integers(1, 3)))
        ],
        draw(st.sampled_from([0, 1, 1000])),
    )


def many_share_a_number_and_one_of_them_is_there_twice() -> Run:
    carriers = [record(str(n), person(n, workPhone="+12125700000"), at=n) for n in range(4)]
    twice = record("8", {"firstName": "First3", "lastName": "Last3", "workPhone": "+12125700000"}, at=9)
    return Run(windows=[carriers, [twice]])


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sync]:
    with TwinServer() as twin, Sync(tmp_path_factory.mktemp("portions"), twin) as opened:
        yield opened


def ready(sync: Sync, run: Run) -> SyncContext:
    """Return the sync with nothing stored but what the run starts from."""
    with sync.engine.begin() as connection:
        for table in (CONTACT_LINK, IN_FLIGHT, GENESYS_MIRROR, MIRROR_IDENTIFIER):
            connection.execute(delete(table))
    sync.context.store.send(run.unanswered)
    touched = {one.contact for one in run.stored if one.contact}
    sync.context.store.record(Delivery(links=run.stored, touched=touched), moment(0))
    sync.context.store.mirror_page(run.seen, [], Scan(moment(1)))
    delivery = {"max_deletes": run.max_deletes, "delete_grace_minutes": 0}
    return replace(sync.context, settings=settings_of(delivery=delivery))


def planned(context: SyncContext, run: Run, portion: int) -> list[pd.DataFrame]:
    frames = {window(n): frame_of(NORMALIZED_CONTACTS, some) for n, some in enumerate(run.windows)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match, "PORTION", portion)
        return [check(DEDUP_MATCHES, plan) for _, plan in match.plan_windows(context, frames.items())]


@settings(deadline=None, max_examples=25)
@given(run=runs(), portion=st.integers(1, 4))
@example(run=many_share_a_number_and_one_of_them_is_there_twice(), portion=1)
def test_portions_of_any_size_make_the_plan_of_the_whole(sync: Sync, run: Run, portion: int) -> None:
    context = ready(sync, run)
    for whole, pieces in zip(planned(context, run, 10_000), planned(context, run, portion), strict=True):
        pd.testing.assert_frame_equal(whole, pieces)
