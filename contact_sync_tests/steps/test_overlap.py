"""Late rows are found by the next window, how late they were moves its bounds, and little is read twice."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_sync.contacts.window import Window
from contact_sync.steps.extract import extract
from contact_sync.steps.lag import WindowNotClosedError, await_closed, overlap_of, require_closed, settle_of
from contact_sync_tests.crm.contract import Record
from contact_sync_tests.steps.reader import Reader, reading
from contact_sync_tests.steps.world import START, moment, window

MINUTE = timedelta(minutes=1)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Two windows of four records each, read and committed."""
    with reading(tmp_path) as reader:
        for number in range(2):
            reader.crm.put(Record(f"{number}-{one}", moment(number, 5 + 6 * one)) for one in range(4))
            reader.run(number)
        yield reader


def put_late(reader: Reader, minutes: float, crm_id: str = "late", **columns: Any) -> None:  # noqa: ANN401
    """Commit a record so many minutes before the start of window 2."""
    reader.crm.put([Record(crm_id, window(2).start - minutes * MINUTE, **columns)])


def test_where_nothing_has_come_since_nothing_is_read_twice(reader: Reader) -> None:
    before = reader.source.rows, reader.source.listed
    reader.run(2)
    assert (reader.source.rows, reader.source.listed) == (before[0], before[1] + 1)


@pytest.mark.parametrize("minutes", [0.001, 5, 10])
def test_a_row_committed_late_is_read_by_the_next_window_and_only_it(reader: Reader, minutes: float) -> None:
    put_late(reader, minutes)
    reader.run(2)
    assert reader.ids(2) == ["late"]
    assert reader.audit().reopened == {}


def test_a_record_that_is_known_in_an_older_version_comes_late_too(reader: Reader) -> None:
    put_late(reader, 5, "0-1", first_name="Grace")
    reader.run(2)
    assert reader.missed() == set()


def test_two_thousand_late_rows_on_one_timestamp_are_read(reader: Reader) -> None:
    reader.crm.put(Record(f"late {number:04}", window(2).start - 5 * MINUTE) for number in range(2_000))
    reader.run(2)
    assert len(reader.ids(2)) == 2_000
    assert reader.missed() == set()


def test_a_record_that_left_the_overlap_for_the_window_hides_no_late_one(reader: Reader) -> None:
    reader.crm.put([Record("1-3", moment(2, 5))])
    put_late(reader, 5)
    reader.run(2)
    assert reader.ids(2) == ["1-3", "late"]


def test_one_that_left_for_a_window_to_come_hides_no_late_one_either(reader: Reader) -> None:
    reader.crm.put([Record("1-3", window(2).end + 2 * MINUTE)])
    put_late(reader, 5)
    reader.run(2)
    assert reader.missed() == {"1-3"}
    reader.run(3)
    assert reader.missed() == set()


def test_a_late_change_within_the_window_of_the_one_before_is_read(reader: Reader) -> None:
    put_late(reader, 6, "1-3", first_name="Grace")
    reader.run(2)
    assert reader.missed() == set()


def test_late_rows_are_found_again_by_a_run_that_died_before_it_delivered_them(reader: Reader) -> None:
    put_late(reader, 5)
    reader.pass_time(3600)
    extract(reader.context, window(2))  # and then the process died
    reader.run(2)
    assert reader.ids(2) == ["late"]
    reader.run(3)
    assert reader.ids(3) == []


def test_a_window_that_is_open_is_left_to_its_own_run(reader: Reader) -> None:
    reader.crm.put([Record("waits", moment(2, 25))])
    before = reader.source.rows
    reader.run(3)
    assert reader.source.rows == before


def test_before_the_first_window_nobody_has_read(tmp_path: Path) -> None:
    with reading(tmp_path) as reader:
        reader.crm.put([Record("early", START - 5 * MINUTE), Record("too early", START - 15 * MINUTE)])
        reader.run(0)
        assert reader.ids(0) == ["early"]


def test_without_an_overlap_nothing_is_asked(tmp_path: Path) -> None:
    with reading(tmp_path, overlap_seconds=0, max_overlap_seconds=0) as reader:
        reader.run(0, 1)
        assert reader.source.listed == 0


# How late rows are.


def test_how_late_rows_were_is_kept_in_the_ledger(reader: Reader) -> None:
    put_late(reader, 5)
    put_late(reader, 8, "later")
    reader.run(2)
    row = reader.standing().windows[-1]
    assert row["late_rows"] == 2
    assert timedelta(minutes=11) <= timedelta(seconds=row["late_seconds"]) < timedelta(minutes=11, seconds=1)
    assert reader.standing().late_rows == 2


def test_a_reopened_window_knows_how_late_its_rows_were(reader: Reader) -> None:
    reader.crm.put([Record("late", moment(0, 10))])
    reader.recover()
    assert reader.standing().lateness == pytest.approx(timedelta(minutes=23), abs=timedelta(seconds=1))


def test_overlap_and_settle_delay_follow_the_lateness_within_their_bounds_and_forget(reader: Reader) -> None:
    assert (settle_of(reader.context), overlap_of(reader.context)) == (2 * MINUTE, 10 * MINUTE)
    put_late(reader, 2)  # three minutes before window 1 was read: late by five
    reader.run(2)
    assert settle_of(reader.context) == pytest.approx(7.5 * MINUTE, abs=timedelta(seconds=1))
    assert overlap_of(reader.context) == 10 * MINUTE
    reader.crm.put([Record("late 3", moment(2, 1))])
    assert list(reader.recover()) == [2]  # later than the settle delay may grow: the overlap's
    assert settle_of(reader.context) == pytest.approx(7.5 * MINUTE, abs=timedelta(seconds=1))
    assert overlap_of(reader.context) == pytest.approx(48 * MINUTE, abs=timedelta(seconds=2))
    reader.pass_time(timedelta(days=8).total_seconds())
    assert (settle_of(reader.context), overlap_of(reader.context)) == (2 * MINUTE, 10 * MINUTE)


def test_what_is_later_than_the_bounds_moves_nothing(tmp_path: Path) -> None:
    with reading(tmp_path, max_settle_seconds=120, max_overlap_seconds=600) as reader:
        reader.run(0, 1)
        reader.crm.put([Record("late", moment(0, 10))])
        reader.recover()
        assert (settle_of(reader.context), overlap_of(reader.context)) == (2 * MINUTE, 10 * MINUTE)


def test_a_wider_overlap_reads_only_the_windows_in_which_rows_came(tmp_path: Path) -> None:
    with reading(tmp_path, overlap_seconds=3 * 3600) as reader:
        for number in range(6):
            reader.crm.put(Record(f"{number}-{one}", moment(number, 5 + one)) for one in range(10))
            reader.run(number)
        reader.crm.put([Record("late", moment(2, 3))])
        before = reader.source.rows
        reader.run(6)
        assert reader.ids(6) == ["late"]
        assert reader.source.rows - before == 11


def test_a_settle_delay_that_grew_is_waited_for_and_no_longer(reader: Reader) -> None:
    put_late(reader, 2)
    reader.run(2)
    reader.clock.now = window(3).end + 3 * MINUTE
    with pytest.raises(WindowNotClosedError):
        require_closed(reader.context, window(3))
    await_closed(reader.context, window(3))
    require_closed(reader.context, window(3))
    assert reader.clock.now - window(3).end < 8 * MINUTE
    before = reader.clock.now
    await_closed(reader.context, window(5))
    assert reader.clock.now - before < MINUTE


# What it costs, and that it misses nothing.


def test_in_steady_state_at_most_two_in_a_hundred_rows_are_read_twice(tmp_path: Path) -> None:
    """Two days of a busy CRM: people change the same records again and again, audits twice a day."""
    rng = random.Random(5)  # noqa: S311 -- no secret
    with reading(tmp_path) as reader:
        arrived, reopened = 0, list[Window]()
        for number in range(2 * 48):
            active = [f"p{rng.randrange(300)}" for _ in range(20)]
            stamps = sorted(moment(number, 30 * rng.random()) for _ in range(40))
            reader.crm.put({one: Record(one, at) for at in stamps if (one := rng.choice(active))}.values())
            for one in set(rng.choices(active, k=4)):  # before the window is read
                reader.crm.put([Record(one, moment(number + 1, 3 * rng.random()))])
            reader.run(number)
            arrived += len(reader.ids(number))
            if number % 24 == 23:
                reader.clock.now = window(number).end + 7 * MINUTE
                reopened += reader.audit().reopened
        twice = reader.source.rows - arrived
        assert reopened == []
        assert 0 < twice / arrived <= 0.02


Step = tuple[str, int, int]

KINDS = ["put", "put", "late", "late", "run", "run"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 180)), max_size=40)


def what_comes_late_arrives(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """Records change in time, up to three hours late, also to a stamp older than they had; windows run on."""
    with reading(tmp_path_factory.mktemp("history")) as reader:
        number = 0

        def stamp(kind: str, minutes: int) -> datetime:
            return moment(number, minutes % 30) if kind == "put" else moment(number, 0) - minutes * MINUTE

        for at, (kind, record, minutes) in enumerate(steps):
            if kind == "run":
                reader.run(number)
                number += 1
            else:
                reader.crm.put([Record(f"r{record}", max(START, stamp(kind, minutes)), first_name=f"v{at}")])
        reader.run(number)
        for _ in range(3):
            reader.recover()
        assert reader.missed() == set()
        assert reader.audit().reopened == {}


def law_of_late_rows(examples: int) -> Callable[..., None]:
    """Return the law, held over so many histories."""
    over = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    return over(given(steps=STEPS)(what_comes_late_arrives))


test_whatever_comes_late_arrives_once_everything_is_audited = law_of_late_rows(12)
