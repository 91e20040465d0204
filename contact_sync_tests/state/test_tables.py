from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, bindparam, literal, make_url, select
from sqlalchemy.exc import StatementError

from contact_sync.state.tables import METADATA, UtcDateTime

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=offsets)  # noqa: DTZ001 (Hypothesis wants naive bounds)


@pytest.mark.parametrize("backend", ["sqlite://", "postgresql+psycopg://"])
@given(instant=instants)
def test_an_instant_keeps_its_moment_and_comes_back_in_utc(backend: str, instant: datetime) -> None:
    column, dialect = UtcDateTime(), make_url(backend).get_dialect()()
    bound = column.process_bind_param(instant, dialect)
    back = column.process_result_value(bound, dialect)
    assert back == instant
    assert back is not None
    assert back.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2026-03-29T01:30:00.123456Z"),
    ],
)
def test_both_databases_keep_an_instant(engine: Engine, instant: datetime) -> None:
    with engine.begin() as connection:
        back = connection.execute(select(literal(instant, UtcDateTime))).scalar_one()
    assert back == instant
    assert back.utcoffset() == timedelta(0)


def test_no_instant_stays_none(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.execute(select(literal(None, UtcDateTime))).scalar_one() is None


def test_an_instant_without_timezone_is_refused(sqlite: Engine) -> None:
    query = select(bindparam("at", type_=UtcDateTime))
    with sqlite.begin() as connection, pytest.raises(StatementError, match="needs a timezone"):
        connection.execute(query, {"at": datetime(2026, 1, 1)})  # noqa: DTZ001 (what is refused)


def test_every_table_says_what_a_row_is() -> None:
    assert all(table.comment or table.name == "budget" for table in METADATA.tables.values())
