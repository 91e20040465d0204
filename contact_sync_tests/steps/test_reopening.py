"""A reopened window on its way to Genesys, and what comes late there."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmUnavailableError
from contact_sync.crm.sql import SqlSource
from contact_sync.state.database import StateError
from contact_sync.steps.audit import audit
from contact_sync.steps.report import health, report
from contact_sync_tests.steps.accounting import assert_accounted
from contact_sync_tests.steps.harness import Sync
from contact_sync_tests.steps.world import moment, window


@pytest.fixture
def synced(sync: Sync) -> Sync:
    """Three windows of people, just synced."""
    sync.clock.now = window(2).end + timedelta(minutes=3)
    for number in range(3):
        sync.crm.people(4, moment(number, 12), first=10 * number)
    sync.sync(0, 1, 2)
    return sync


def reopened(sync: Sync) -> Sequence[int]:
    return [[window(number) for number in range(3)].index(one) for one in audit(sync.context).reopened]


def test_a_late_record_reaches_genesys_and_nothing_else_is_sent(synced: Sync) -> None:
    synced.crm.people(1, moment(0, 20), first=99)
    assert reopened(synced) == [0]
    assert health(synced.context).watermark == window(0).start
    assert synced.sync(0) == {"created": 1, "unchanged": 4}
    assert_accounted(synced, 0)
    assert health(synced.context).watermark == window(2).end
    assert reopened(synced) == []
    assert synced.writes(lambda: synced.sync(0, 1, 2)) == 0


def test_a_change_with_an_older_stamp_than_it_had_reaches_genesys(synced: Sync) -> None:
    synced.crm.put("p20", moment(0, 25), job_title="Countess")
    assert reopened(synced) == [0, 2]
    assert synced.sync(0, 2) == {"updated": 1, "unchanged": 7}
    assert synced.contact("p20").fields["title"] == "Countess"
    assert reopened(synced) == []
    assert synced.writes(lambda: synced.sync(0, 1, 2)) == 0
    assert synced.contact("p20").fields["title"] == "Countess"


def test_a_delete_with_an_older_stamp_reaches_genesys(synced: Sync) -> None:
    synced.crm.delete("p20", moment(0, 25))
    assert reopened(synced) == [0, 2]
    assert synced.sync(0, 2) == {"deleted": 1, "unchanged": 7}
    assert len(synced.contacts()) == 11


def test_a_reopened_window_has_no_report_until_it_is_delivered(synced: Sync) -> None:
    synced.crm.people(1, moment(0, 20), first=99)
    audit(synced.context)
    with pytest.raises(StateError, match="is not committed"):
        report(synced.context, window(0))


def test_a_run_that_dies_over_a_reopened_window_leaves_it_open(synced: Sync) -> None:
    synced.crm.put("p20", moment(0, 25), job_title="Countess")
    assert reopened(synced) == [0, 2]
    synced.read(0)  # and then the process died
    assert window(0) not in synced.committed()
    assert synced.sync(0, 2) == {"updated": 1, "unchanged": 7}


def test_a_crm_that_goes_away_while_windows_are_counted_reopens_none(
    synced: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.crm.people(1, moment(0, 20), first=99)
    counted = SqlSource.count

    def once(source: SqlSource, one: Window) -> int:
        if one == window(1):
            raise CrmUnavailableError("gone away")
        return counted(source, one)

    monkeypatch.setattr(SqlSource, "count", once)
    with pytest.raises(CrmUnavailableError):
        audit(synced.context)
    assert len(synced.committed()) == 3
