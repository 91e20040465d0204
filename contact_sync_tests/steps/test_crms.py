"""Whichever CRM a history happens in, Genesys ends with the same contacts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contact_sync.simulator.server import TwinServer
from contact_sync.steps.gone import follow_feed
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.conftest import emptied
from contact_sync_tests.steps.crms import Crm, DynamicsCrm, SalesforceCrm, SyncElsewhere
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.test_histories import (
    WINDOWS,
    Event,
    History,
    Writable,
    held,
    histories,
    new,
)
from contact_sync_tests.steps.world import DELIVERY, settings_of, window

Contacts = Sequence[tuple[frozenset[str], Mapping[str, str]]]

GRACE = DELIVERY | {"delete_grace_minutes": 15}


@pytest.fixture(scope="module")
def salesforce() -> Iterator[SalesforceCrm]:
    crm = SalesforceCrm()
    with crm.server:
        yield crm


@pytest.fixture(scope="module")
def dynamics() -> Iterator[DynamicsCrm]:
    crm = DynamicsCrm()
    with crm.server:
        yield crm


def lived_in(crm: Writable, sync: Sync, history: Sequence[Sequence[Event]]) -> History:
    """Let a history happen in a CRM, each window synced as it was at its time; then nothing is left to do."""
    lived = History(crm)
    for number, events in enumerate(history):
        lived.live(number, events)
        closed(sync, number)
        sync.sync(number)
        assert_accounted(sync, number)
    for number in (WINDOWS, WINDOWS + 1):  # the last deletes are found, and their grace period ends
        closed(sync, number)
        sync.sync(number)
    sync.later(days=1)
    sync.retry()
    assert sync.queue() == {}
    assert sync.writes(lambda: sync.sync(*range(WINDOWS))) == 0
    return lived


def closed(sync: Sync, number: int) -> None:
    """Let a window's time be over, and hear what the CRM tells of deletes."""
    if isinstance(sync, SyncElsewhere):
        assert sync.elsewhere
        sync.elsewhere.now = window(number).end + timedelta(minutes=5)
        follow_feed(sync.context)


def named(contacts: Contacts, crm: Crm) -> Contacts:
    """Return contacts with their records as the history calls them."""
    names = {crm.id_of(f"r{number}"): f"r{number}" for number in range(100)}
    return [(frozenset(names[one] for one in records), fields) for records, fields in contacts]


@settings(
    max_examples=1,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(history=histories, hard=st.booleans())
@example(
    history=[
        [new(0), new(0, 18), new(1)],
        [Event("merge", 0, 12), Event("change", 1, 18, "city", 1), Event("delete", 2, 25)],
        [Event("restore", 2, 12), Event("re-index", 1, 18), Event("correct", 1, 25)],
    ],
    hard=False,
)
@example(history=[[new(0), new(1)], [Event("delete", 0, 12), Event("re-index", 1, 18)], []], hard=True)
def test_one_history_in_every_crm_ends_with_the_same_contacts(
    shared_twin: TwinServer,
    tmp_path_factory: pytest.TempPathFactory,
    salesforce: SalesforceCrm,
    dynamics: DynamicsCrm,
    history: list[list[Event]],
    hard: bool,  # noqa: FBT001 -- Hypothesis names it
) -> None:
    folder = tmp_path_factory.mktemp("crms")
    with Sync(folder / "sql", emptied(shared_twin), settings=settings_of(delivery=GRACE)) as sync:
        lived = lived_in(sync.crm, sync, history)
        in_sql = held(sync)
    assert in_sql == sorted(lived.contacts(), key=lambda one: sorted(one[0]))
    crms: Sequence[Crm] = (salesforce, dynamics)
    for crm in crms:
        crm.clear()
        crm.hard = hard
        home, settings = folder / type(crm).__name__, crm.settings(delivery=GRACE)
        with SyncElsewhere(home, emptied(shared_twin), settings=settings, elsewhere=crm) as sync:
            follow_feed(sync.context)
            lived_in(crm, sync, history)
            assert named(held(sync), crm) == in_sql, type(crm).__name__
