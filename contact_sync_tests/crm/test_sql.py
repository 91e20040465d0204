import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError, CrmSource
from contact_sync.crm.sql import SqlSource, SqlTable
from contact_sync.crm.sql_rows import _truth
from contact_sync_tests.crm.contract import HALF_HOUR, NOON, Record, read, read_current
from contact_sync_tests.crm.sql_harness import TABLE, SqlHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SqlHarness]:
    harness = SqlHarness(f"sqlite:///{tmp_path / 'crm.db'}", sa.DateTime())
    yield harness
    harness.close()


def test_it_is_a_crm_source(harness: SqlHarness) -> None:
    source: CrmSource = harness.source()
    assert source.name == "sql"


def test_without_a_server_clock_the_given_clock_settles(harness: SqlHarness) -> None:
    with closing(
        SqlSource(
            harness.url,
            TABLE,
            [],
            settle=timedelta(minutes=2),
            clock=lambda: NOON.astimezone(ZoneInfo("Asia/Tokyo")),
        )
    ) as source:
        assert source.horizon() == NOON - timedelta(minutes=2)
        assert source.horizon().utcoffset() == timedelta()


def test_building_a_source_touches_no_database() -> None:
    with closing(SqlSource("sqlite:////nowhere/crm.db", TABLE, [], settle=timedelta())) as source:
        assert "nowhere" not in repr(source)


@pytest.mark.parametrize(
    "yes",
    [True, 1, Decimal(1), "1", "t", "TRUE", "Y", " yes ", b"\x01", NOON, date(2026, 1, 1), "2026-01-01T00:00Z"],
)
def test_yes_in_any_usual_form(yes: object) -> None:
    assert _truth(yes, ZoneInfo("UTC")) is True


@pytest.mark.parametrize("no", [None, False, 0, Decimal(0), "", "0", "f", "False", "N", "no", b"\x00"])
def test_no_in_any_usual_form(no: object) -> None:
    assert _truth(no, ZoneInfo("UTC")) is False


def test_a_deleted_column_of_other_words_is_refused_without_its_values(harness: SqlHarness) -> None:
    harness.put([Record("1", nickname="SECRET")])
    table = TABLE.model_copy(update={"deleted": "nickname"})
    with (
        closing(SqlSource(harness.url, table, [], settle=timedelta())) as source,
        pytest.raises(CrmConfigurationError, match=r"nickname .* crm\.table\.deleted") as caught,
    ):
        read(source)
    assert "SECRET" not in str(caught.value)


def test_a_restored_record_lives_although_it_once_lost_a_merge(harness: SqlHarness) -> None:
    harness.put([Record("1", deleted=False, merged_into="2")])
    (change,) = read(harness.source())
    assert (change.kind, change.merged_into) == ("upsert", None)


def test_merged_into_alone_marks_a_merge_where_no_column_marks_deletes(harness: SqlHarness) -> None:
    harness.put([Record("1", merged_into="2"), Record("2", merged_into=""), Record("3")])
    table = TABLE.model_copy(update={"deleted": None})
    with closing(SqlSource(harness.url, table, [], settle=timedelta())) as source:
        assert {change.crm_id: change.kind for change in read(source)} == {
            "1": "merge",
            "2": "upsert",
            "3": "upsert",
        }


def test_a_key_column_may_be_a_field_too(harness: SqlHarness) -> None:
    harness.put([Record("1")])
    with closing(SqlSource(harness.url, TABLE, ["id", "email", "id"], settle=timedelta())) as source:
        (change,) = read(source)
    assert change.fields == {"id": "1", "email": None}


def test_a_dirty_value_in_a_typed_column_comes_as_it_is(harness: SqlHarness) -> None:
    with closing(sqlite3.connect(harness.engine.url.database or "")) as connection, connection:
        connection.execute("ALTER TABLE contacts ADD COLUMN born DATE")
        connection.execute(
            "INSERT INTO contacts (id, modified_at, born) VALUES ('1', ?, 'in spring')", (NOON.isoformat(),)
        )
    with closing(SqlSource(harness.url, TABLE, ["born"], settle=timedelta())) as source:
        (change,) = read(source)
    assert change.fields == {"born": "in spring"}


def test_times_finer_than_a_microsecond_end_in_an_error_and_not_in_a_loop(
    harness: SqlHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As SQL Server's datetime2(7) looks: the driver cuts the stored time, so each page starts where the last did.
    source = harness.source(page_size=2)
    page: Sequence[Sequence[Any]] = [(NOON, "1", 0, None, "", ""), (NOON, "2", 0, None, "", "")]
    assert source._layout is not None
    monkeypatch.setattr(source._database, "read", lambda _: page)
    with pytest.raises(CrmConfigurationError, match="finer than a microsecond"):
        read(source)


def test_a_row_without_id_is_counted_and_not_read(harness: SqlHarness) -> None:
    with closing(sqlite3.connect(harness.engine.url.database or "")) as connection, connection:
        connection.execute("CREATE TABLE loose (id TEXT, modified_at TEXT)")
        connection.executemany(
            "INSERT INTO loose VALUES (?, ?)", [(None, NOON.isoformat()), ("1", NOON.isoformat())]
        )
    table = SqlTable(name="loose", id="id", modified_at="modified_at")
    with closing(SqlSource(harness.url, table, [], settle=timedelta(), page_size=1)) as source:
        assert [change.crm_id for change in read(source)] == ["1"]
        assert source.undated() == 1


def test_a_record_without_a_readable_time_is_not_read_again(harness: SqlHarness) -> None:
    harness.put(map(Record, ["1", "2", "3"]))
    with harness.engine.begin() as connection:
        connection.execute(sa.text("UPDATE contacts SET modified_at = NULL WHERE id = '1'"))
        connection.execute(sa.text("UPDATE contacts SET modified_at = 'in spring' WHERE id = '2'"))
    assert [change.crm_id for change in read_current(harness.source(), ["1", "2", "3"])] == ["3"]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (sa.BigInteger(), [9, 10, 2**40]),
        (sa.Uuid(), [uuid.UUID(int=number) for number in (1, 2**64, 2**127)]),
        (sa.Numeric(), [Decimal(9), Decimal(10), Decimal("11.5")]),
        (sa.CHAR(18), ["a" * 18, "A" * 18, "B" * 18]),
        (sa.Enum("c", "a", "b", name="code"), ["a", "b", "c"]),
    ],
)
def test_ids_of_any_type_page_in_their_own_order(
    postgres_url: str, type_: sa.types.TypeEngine[object], values: list[object]
) -> None:
    engine = sa.create_engine(postgres_url)
    rows = sa.Table("rows", sa.MetaData(), sa.Column("id", type_), sa.Column("at", sa.DateTime(timezone=True)))
    rows.create(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), [{"id": value, "at": NOON} for value in values])
    engine.dispose()
    table = SqlTable(name="rows", schema="public", id="id", modified_at="at")
    with closing(SqlSource(postgres_url, table, [], settle=timedelta(), page_size=1)) as source:
        assert {change.crm_id for change in read(source)} == {str(value) for value in values}


def test_local_times_around_a_clock_change_are_read_once_each(postgres_url: str) -> None:
    clocks_go_back = datetime(2026, 10, 25, 1, tzinfo=UTC)
    harness = SqlHarness(postgres_url, sa.DateTime(), timezone="Europe/Berlin")
    moments = [clocks_go_back + step * timedelta(minutes=5) for step in range(-40, 40)]
    harness.put(Record(moment.isoformat(), moment) for moment in moments)
    borders = [clocks_go_back + step * timedelta(minutes=15) for step in range(-24, 25)]
    windows = [Window(start, end) for start, end in pairwise(borders)]
    source = harness.source()
    found = [(change, window) for window in windows for change in read(source, window)]
    counts = [source.count(window) for window in windows]
    harness.close()
    assert counts == [sum(one == window for _, one in found) for window in windows]
    assert sorted(change.crm_id for change, _ in found) == [moment.isoformat() for moment in moments]
    assert all(change.modified_at in window for change, window in found)


def test_dates_are_read_by_windows_of_half_an_hour(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    rows = sa.Table("rows", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("day", sa.Date))
    rows.create(engine)
    with engine.begin() as connection:
        connection.execute(rows.insert(), [{"id": day, "day": date(2026, 6, day)} for day in (14, 15, 16)])
    engine.dispose()
    table = SqlTable(name="rows", id="id", modified_at="day", timezone="Europe/Berlin")
    midnight = datetime(2026, 6, 14, 22, tzinfo=UTC)
    with closing(SqlSource(postgres_url, table, [], settle=timedelta())) as source:
        windows = [Window(midnight + step * HALF_HOUR, midnight + (step + 1) * HALF_HOUR) for step in (-1, 0, 1)]
        assert [[change.crm_id for change in read(source, window)] for window in windows] == [[], ["15"], []]
