"""What comes later than any overlap reaches is found by the audit, whatever else has come or gone meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.steps import audit
from contact_sync.steps.extract import extract
from contact_sync.steps.gone import reconcile
from contact_sync_tests.crm.contract import Record
from contact_sync_tests.steps.reader import Reader, reading
from contact_sync_tests.steps.world import moment, window

MORE, LESS = "the CRM has 1 row that was not read", "the CRM counts 1 row fewer than are known"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Five windows of four records each, read and committed."""
    with reading(tmp_path) as reader:
        for number in range(5):
            reader.crm.put(Record(f"{number}-{one}", moment(number, 5 + 6 * one)) for one in range(4))
            reader.run(number)
        yield reader


def late(reader: Reader, number: int, crm_id: str = "late", minute: float = 7) -> None:
    reader.crm.put([Record(crm_id, moment(number, minute))])


def erase(reader: Reader, crm_id: str) -> None:
    with reader.crm.engine.begin() as connection:
        connection.execute(sa.delete(reader.crm.table).where(reader.crm.table.c.id == crm_id))


def test_where_nothing_moved_nothing_is_reopened_and_no_row_is_read(reader: Reader) -> None:
    before = reader.source.rows
    done = reader.audit()
    assert (done.windows, done.reopened, done.read, done.open) == (5, {}, 0, [])
    assert reader.source.rows == before


def test_a_late_row_reopens_its_window_alone_and_the_next_run_of_that_brings_it(reader: Reader) -> None:
    late(reader, 1)
    assert reader.recover() == {1: MORE}
    assert "late" in reader.ids(1)
    assert reader.missed() == set()
    assert reader.recover() == {}


def test_a_reopened_window_is_not_committed_until_it_is_run_again(reader: Reader) -> None:
    late(reader, 1)
    reader.audit()
    ledger = reader.context.store.ledger
    assert window(1) not in ledger.committed("crm")
    assert reader.standing().reopened == {window(1): MORE}
    assert reader.standing().gaps == []
    row = ledger.row("crm", window(1)) or {}
    assert (row["rows_read"], row["reopened_because"]) == (4, MORE)
    reader.run(1)
    assert window(1) in ledger.committed("crm")
    assert reader.standing().reopened == {}


def test_a_row_that_left_does_not_hide_one_that_came_late(reader: Reader) -> None:
    reader.crm.put([Record("1-0", moment(4, 20)), Record("2-0", moment(5, 5))])
    reader.run(4, 5)
    late(reader, 1)
    late(reader, 2, "late too")
    assert reader.source.count(window(1)) == reader.source.count(window(2)) == 4
    assert reader.recover() == {1: MORE, 2: MORE}
    assert reader.missed() == set()


def test_nor_does_one_that_left_for_a_time_that_no_window_holds_yet(reader: Reader) -> None:
    reader.pass_time(600)
    reader.crm.put([Record("1-0", moment(5, 5)), Record("3-0", moment(5, 6))])
    late(reader, 1)
    done = reader.audit()
    assert done.reopened == {window(1): MORE}
    assert done.read == 2


def test_one_that_changes_while_windows_are_counted_reopens_nothing(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, asked = reader.source.count, list[Window]()

    def busy(one: Window) -> int:
        found = counted(one)
        if one == window(2) and one not in asked:
            reader.crm.put([Record("2-0", reader.clock.now)])
        asked.append(one)
        return found

    monkeypatch.setattr(reader.source, "count", busy)
    assert reader.audit().reopened == {}
    assert asked.count(window(2)) == 2


def test_a_row_that_vanished_reopens_its_window_unless_it_was_found_gone(reader: Reader) -> None:
    erase(reader, "1-0")
    assert reader.recover() == {1: LESS}
    erase(reader, "2-0")
    assert reconcile(reader.context).gone == 2
    assert reader.recover() == {}


def test_a_row_that_vanished_hides_no_late_one(reader: Reader) -> None:
    erase(reader, "1-0")
    late(reader, 1)
    assert reader.recover() == {1: MORE}
    assert reader.missed() == set()


def test_a_record_that_changed_twice_within_a_window_and_the_second_time_late_is_read(reader: Reader) -> None:
    reader.crm.put([Record("1-0", moment(1, 9), first_name="Grace")])
    assert reader.recover() == {1: MORE}
    assert reader.missed() == set()
    assert reader.recover() == {}


def test_a_window_of_very_many_rows_is_counted_only(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LISTED", 3)
    reader.crm.put([Record("1-0", moment(1, 9))])
    assert reader.recover() == {}


def test_a_back_dated_change_reopens_the_window_that_it_left_and_the_one_that_it_came_to(reader: Reader) -> None:
    reader.crm.put([Record("3-0", moment(1, 9))])
    before = reader.context.frames.read("crm_delta", window(3))
    assert reader.recover() == {1: MORE, 3: LESS}
    assert reader.missed() == set()
    assert reader.recover() == {}
    (row,) = reader.context.frames.find("crm_delta", window(1), {"crm_id": ["3-0"]}).to_dict("records")
    assert row["modified_at"] == before.set_index("crm_id").loc["3-0", "modified_at"]
    reader.run(1)
    assert reader.context.frames.find("crm_delta", window(1), {"crm_id": ["3-0"]})["version"][0] == row["version"]
    reader.crm.put([Record("3-0", moment(1, 10))])
    assert reader.recover() == {1: MORE}
    assert reader.missed() == set()
    reader.crm.put([Record("3-0", moment(5, 10))])
    reader.run(5)
    assert reader.recover() == {}
    assert reader.missed() == set()


def test_a_late_change_of_a_record_that_was_read_brings_its_new_version(reader: Reader) -> None:
    reader.crm.put([Record("1-0", moment(3, 9), first_name="Grace")])
    assert reader.recover() == {1: LESS, 3: MORE}
    assert reader.missed() == set()


def test_while_windows_are_missing_fewer_rows_say_nothing_and_more_still_do(reader: Reader) -> None:
    reader.crm.put([Record("1-0", moment(5, 5))])
    late(reader, 2)
    reader.run(6)
    done = reader.audit()
    assert done.open == [window(5)]
    assert done.reopened == {window(2): MORE}


def test_far_behind_the_time_since_is_not_read(reader: Reader) -> None:
    reader.crm.put([Record("1-0", moment(5, 5))])
    late(reader, 2)
    reader.pass_time(6 * 3600)
    done = reader.audit()
    assert (done.reopened, done.read) == ({window(2): MORE}, 0)


def test_a_window_that_was_read_again_and_not_delivered_is_reopened(reader: Reader) -> None:
    late(reader, 1)
    extract(reader.context, window(1))  # and then the process died
    assert reader.recover() == {1: "its frame is missing, or was read again and not delivered"}
    assert reader.missed() == set()


def test_a_window_without_its_frame_is_reopened(reader: Reader) -> None:
    Path(reader.context.frames.path("crm_delta", window(2))).unlink()
    assert list(reader.recover()) == [2]
    assert reader.recover() == {}


def test_a_count_that_stays_odd_after_reading_again_reopens_no_more(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = reader.source.count
    monkeypatch.setattr(reader.source, "count", lambda one: counted(one) + (one == window(1)))
    assert reader.recover() == {1: MORE}
    assert reader.recover() == {}
    late(reader, 1)
    assert reader.recover() == {1: MORE}
    assert reader.missed() == set()


def test_only_the_audited_time_is_counted(reader: Reader) -> None:
    settings = reader.context.settings
    short = settings.model_copy(update={"sync": settings.sync.model_copy(update={"audit_hours": 1})})
    reader.context = replace(reader.context, settings=short)
    late(reader, 0)
    assert reader.audit().windows == 2
    assert reader.audit().reopened == {}


def test_before_anything_is_committed_there_is_nothing_to_audit(tmp_path: Path) -> None:
    with reading(tmp_path) as reader:
        assert reader.audit().windows == 0


def test_two_thousand_late_rows_on_one_timestamp_are_found(reader: Reader) -> None:
    reader.crm.put(Record(f"late {number:04}", moment(1, 7)) for number in range(2_000))
    assert reader.recover() == {1: "the CRM has 2,000 rows that were not read"}
    assert reader.missed() == set()
