import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.dialects import mssql
from sqlalchemy.types import TypeEngine

from contact_sync.contacts.window import Window
from contact_sync.crm.sql import SqlSource, SqlTable
from contact_sync.crm.timestamps import NativeTimestamps, instant_of, stored_timestamps
from contact_sync_tests.crm.contract import ids, read

BERLIN = ZoneInfo("Europe/Berlin")
TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
FORMS_OF_TEN = [
    "2026-03-01 10:00",
    "2026-03-01 10:00:00",
    "2026-03-01 10:00:00.000000",
    "2026-03-01T10:00:00",
    "2026-03-01T10:00:00.000",
    "2026-03-01T10:00:00Z",
    "2026-03-01T10:00:00+00:00",
    "2026-03-01 12:00:00+02:00",
    "2026-03-02T00:00:00+14:00",
    "2026-02-28T22:00:00-12:00",
]
UNREADABLE = [
    None,
    "",
    "yesterday",
    "01/03/2026",
    "2026-02-30 10:00:00",
    "2026-03-01 10:00 Uhr",
    1772359200,
    2461101.5,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "crm.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, modified_at)")
    return path


@pytest.fixture
def source(path: Path) -> Iterator[SqlSource]:
    source = sqlite_source(path, "UTC")
    yield source
    source.close()


def sqlite_source(path: Path, timezone: str) -> SqlSource:
    table = SqlTable(name="contacts", id="id", modified_at="modified_at", timezone=timezone)
    return SqlSource(f"sqlite:///{path}", table, [], settle=timedelta(), page_size=3)


def fill(path: Path, stamps: list[object]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO contacts (modified_at) VALUES (?)", [(stamp,) for stamp in stamps])


def test_every_iso_form_in_one_column_is_the_same_instant(path: Path, source: SqlSource) -> None:
    fill(path, [*FORMS_OF_TEN])
    found = read(source, Window(TEN, TEN + timedelta(microseconds=1)))
    assert len(found) == len(FORMS_OF_TEN)
    assert {change.modified_at for change in found} == {TEN}
    assert read(source, Window(TEN - timedelta(days=1), TEN)) == []


def test_a_date_alone_is_its_midnight(path: Path, source: SqlSource) -> None:
    fill(path, ["2026-03-01"])
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    assert len(read(source, Window(midnight, midnight + timedelta(minutes=5)))) == 1
    assert read(source, Window(midnight - timedelta(hours=1), midnight)) == []


def test_text_without_an_offset_is_local_time(path: Path) -> None:
    fill(path, ["2026-07-01 12:00:00", "2026-07-01T12:00:00Z"])
    with closing(sqlite_source(path, "Europe/Berlin")) as source:
        ten = datetime(2026, 7, 1, 10, tzinfo=UTC)
        assert ids(read(source, Window(ten, ten + timedelta(hours=1)))) == ["1"]
        assert ids(read(source, Window(ten + timedelta(hours=2), ten + timedelta(hours=3)))) == ["2"]


def test_rows_that_no_window_can_hold_are_counted(path: Path, source: SqlSource) -> None:
    fill(path, [*UNREADABLE, *FORMS_OF_TEN])
    everything = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert source.undated() == len(UNREADABLE)
    assert len(read(source, everything)) == len(FORMS_OF_TEN)


def test_an_index_serves_sqlite_text(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX by_time ON contacts (modified_at, id)")
        connection.create_function("contact_sync_utc", 1, str)
        column = sa.column("modified_at", sa.Text())
        timestamps = stored_timestamps("sqlite", sa.Text(), ZoneInfo("UTC"))
        assert timestamps is not None
        condition = timestamps.within(column, Window(TEN, TEN + timedelta(hours=1)))
        sql = condition.compile(compile_kwargs={"literal_binds": True})
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM contacts WHERE {sql}").fetchall()  # noqa: S608 - our own condition
    assert "by_time (modified_at>? AND modified_at<?)" in plan[0][3]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_number_is_no_time(dialect: str) -> None:
    assert stored_timestamps(dialect, sa.Integer(), BERLIN) is None
    assert stored_timestamps(dialect, sa.Float(), BERLIN) is None


def test_text_is_a_time_in_sqlite_only() -> None:
    assert stored_timestamps("sqlite", sa.Text(), BERLIN) is not None
    assert stored_timestamps("postgresql", sa.Text(), BERLIN) is None


def test_dates_and_datetimes_of_the_driver_become_utc() -> None:
    assert instant_of(datetime(2026, 7, 1, 12), BERLIN) == datetime(2026, 7, 1, 10, tzinfo=UTC)  # noqa: DTZ001 - a local time
    assert instant_of(datetime(2026, 7, 1, 12, tzinfo=UTC), BERLIN) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert instant_of(date(2026, 7, 1), BERLIN) == datetime(2026, 6, 30, 22, tzinfo=UTC)


def finds(timestamps: NativeTimestamps, window: Window, stored: date) -> bool:
    """Do what the database and then the reader do."""
    low, high = timestamps._stored_ends(window)
    instant = instant_of(stored, timestamps.zone)
    return low <= stored < high and instant is not None and instant in window


around_clock_changes = st.sampled_from([datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1)])  # noqa: DTZ001 - local
quarters = st.integers(-16, 16).map(lambda count: count * timedelta(minutes=15))


@given(change=around_clock_changes, offset=quarters, minutes=st.sampled_from([15, 30, 60, 240]))
@example(change=datetime(2026, 10, 25, 1), offset=timedelta(hours=1, minutes=45), minutes=15)  # noqa: DTZ001 - local
def test_local_times_around_a_clock_change_are_found_once(
    change: datetime, offset: timedelta, minutes: int
) -> None:
    timestamps = NativeTimestamps(sa.DateTime(), BERLIN)
    first = change.replace(tzinfo=UTC) - timedelta(hours=12)
    borders = [first + count * timedelta(minutes=minutes) for count in range(24 * 60 // minutes + 1)]
    found = [window for window in map(Window, borders, borders[1:]) if finds(timestamps, window, change + offset)]
    assert len(found) == 1


@given(days=st.integers(0, 5))
def test_dates_are_found_once(days: int) -> None:
    timestamps = NativeTimestamps(sa.Date(), BERLIN)
    borders = [datetime(2026, 3, 26, tzinfo=UTC) + count * timedelta(minutes=30) for count in range(48 * 8)]
    stored = date(2026, 3, 27) + timedelta(days=days)
    assert sum(finds(timestamps, Window(*pair), stored) for pair in pairwise(borders)) == 1


def test_a_column_that_keeps_offsets_is_asked_in_instants() -> None:
    window = Window(TEN, TEN + timedelta(hours=1))
    types: list[TypeEngine[Any]] = [sa.DateTime(timezone=True), mssql.base.ischema_names["datetimeoffset"]()]
    for type_ in types:
        assert NativeTimestamps(type_, BERLIN)._stored_ends(window) == (window.start, window.end)
