"""What comes late and who vanishes in Salesforce and Dynamics 365, found by the audit, the feed and the keys."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contact_sync.simulator.server import TwinServer
from contact_sync.steps.audit import audit
from contact_sync.steps.gone import follow_feed, reconcile
from contact_sync_tests.steps.crms import Crm, DynamicsCrm, SalesforceCrm, SyncElsewhere
from contact_sync_tests.steps.test_contacts import ADA
from contact_sync_tests.steps.world import DELIVERY, moment, window

LAST = 3


@pytest.fixture(params=[SalesforceCrm, DynamicsCrm])
def crm(request: pytest.FixtureRequest) -> Iterator[Crm]:
    made: SalesforceCrm | DynamicsCrm = request.param()
    with made.server:
        yield made


@pytest.fixture
def sync(crm: Crm, twin: TwinServer, tmp_path: Path) -> Iterator[SyncElsewhere]:
    """A record in each of three windows, synced."""
    settings = crm.settings(delivery=DELIVERY)
    with SyncElsewhere(tmp_path / "home", twin, settings=settings, elsewhere=crm) as sync:
        follow_feed(sync.context)
        for number in range(LAST):
            put(crm, number, number)
            close(sync, crm, number)
            assert sync.sync(number) == {"created": 1}
        yield sync


def put(crm: Crm, record: int, number: int, minute: float = 12) -> None:
    crm.put(
        f"r{record}", moment(number, minute), **ADA | {"last_name": f"L{record}", "email": f"{record}@example.org"}
    )


def close(sync: SyncElsewhere, crm: Crm, number: int) -> None:
    sync.clock.now = crm.now = window(number).end + timedelta(minutes=5)


def test_a_late_record_and_an_older_stamp_reopen_their_windows_and_reach_genesys(
    sync: SyncElsewhere, crm: Crm
) -> None:
    assert audit(sync.context).reopened == {}
    put(crm, 9, 0, minute=20)
    crm.put("r2", moment(1, 20), job_title="Countess")
    assert set(audit(sync.context).reopened) == {window(0), window(1), window(2)}
    assert sync.sync(0, 1, 2) == {"created": 1, "unchanged": 2, "updated": 1}
    assert audit(sync.context).reopened == {}
    assert sync.writes(lambda: sync.sync(0, 1, 2)) == 0


def test_one_who_vanished_is_found_by_the_feed_or_by_the_keys_and_deleted(sync: SyncElsewhere, crm: Crm) -> None:
    crm.hard = True
    crm.put("r1", moment(LAST, 5), is_deleted=True)
    crm.now = moment(LAST, 10)
    found = follow_feed(sync.context)
    assert (found, reconcile(sync.context).gone) in {(1, 0), (0, 1)}
    assert reconcile(sync.context).gone == 0
    assert audit(sync.context).reopened == {}
    close(sync, crm, LAST)
    assert sync.sync(LAST) == {"deleted": 1}
    assert len(sync.contacts()) == 2
