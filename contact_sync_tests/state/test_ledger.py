"""The window ledger on both databases: committed, reopened, committed again, and how late rows were."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from contact_sync.contacts.window import Window
from contact_sync.state.ledger import Ledger
from contact_sync_tests.contacts.builders import moment
from contact_sync_tests.state.stored import NOW, WINDOW

LATER = Window(WINDOW.end, WINDOW.end + timedelta(minutes=30))


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine)


def commit(ledger: Ledger, window: Window = WINDOW, digest: str = "d") -> None:
    counts = {"rows_read": 3, "outcomes": {}, "requests": 1, "writes": 1, "seconds": 0.5}
    key = {"source": "crm", "window_start": window.start, "window_end": window.end}
    rest = {"digest": digest, "newest_modified_at": None, "run_id": "run", "committed_at": NOW}
    ledger.commit(key | counts | rest)


def row(ledger: Ledger) -> dict[str, Any]:
    found = ledger.row("crm", WINDOW)
    assert found
    return dict(found)


def test_a_reopened_window_keeps_its_row_and_is_committed_no_more(ledger: Ledger) -> None:
    commit(ledger)
    commit(ledger, LATER)
    ledger.reopen(row(ledger), moment(90), "two rows more", moved_by=2)
    assert ledger.committed("crm") == [LATER]
    assert ledger.reopened("crm") == {WINDOW: "two rows more"}
    assert row(ledger)["rows_read"] == 3
    assert (row(ledger)["reopened_at"], row(ledger)["reopened_because"]) == (moment(90), "two rows more")


def test_committed_again_it_tells_why_it_was_reopened_last(ledger: Ledger) -> None:
    commit(ledger)
    ledger.reopen(row(ledger), moment(90), "two rows more")
    commit(ledger, digest="e")
    assert ledger.committed("crm") == [WINDOW]
    assert (row(ledger)["reopened_at"], row(ledger)["reopened_because"]) == (None, "two rows more")


@pytest.mark.parametrize(("digest", "left"), [("d", 2), ("e", 0)])
def test_what_reading_again_did_not_explain_stays_on_record(ledger: Ledger, digest: str, left: int) -> None:
    commit(ledger)
    ledger.reopen(row(ledger), moment(90), "two rows more", moved_by=2)
    commit(ledger, digest=digest)
    assert row(ledger)["unexplained"] == left
    commit(ledger, digest=digest)
    assert row(ledger)["unexplained"] == left
    commit(ledger, digest="f")
    assert row(ledger)["unexplained"] == 0


def test_what_was_committed_since_it_was_looked_at_stays_committed(ledger: Ledger) -> None:
    commit(ledger)
    before = row(ledger)
    ledger.commit(before | {"committed_at": moment(95)})
    ledger.reopen(before, moment(96), "two rows more")
    assert ledger.committed("crm") == [WINDOW]


def test_another_crms_windows_are_not_touched(ledger: Ledger) -> None:
    commit(ledger)
    ledger.reopen(row(ledger) | {"source": "other"}, moment(90), "two rows more")
    assert ledger.committed("crm") == [WINDOW]
    assert ledger.reopened("crm") == {}
    assert ledger.rows("other", moment(0)) == []


def test_rows_come_in_order_with_what_was_late(ledger: Ledger) -> None:
    commit(ledger, LATER)
    commit(ledger)
    ledger.note_late("crm", LATER, 2, timedelta(minutes=5), moment(90))
    ledger.note_late("crm", LATER, 1, timedelta(minutes=3), moment(91))
    ledger.note_late("other", LATER, 7, timedelta(hours=1), moment(92))
    found = ledger.rows("crm", WINDOW.start)
    assert [(one["window_start"], one["late_rows"], one["late_seconds"]) for one in found] == [
        (WINDOW.start, 0, 0.0),
        (LATER.start, 3, 300.0),
    ]
    assert [one["window_start"] for one in ledger.rows("crm", WINDOW.end)] == [LATER.start]


def test_lateness_is_of_a_time_and_leaves_out_what_is_later_than_asked(ledger: Ledger) -> None:
    ledger.note_late("crm", WINDOW, 1, timedelta(minutes=5), moment(90))
    ledger.note_late("crm", LATER, 1, timedelta(hours=2), moment(100))
    assert ledger.lateness("crm", moment(80), timedelta(hours=3)) == timedelta(hours=2)
    assert ledger.lateness("crm", moment(80), timedelta(hours=1)) == timedelta(minutes=5)
    assert ledger.lateness("crm", moment(95), timedelta(hours=1)) == timedelta(0)
    assert ledger.lateness("other", moment(80), timedelta(hours=3)) == timedelta(0)
