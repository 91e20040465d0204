"""What only a real PostgreSQL can show: open transactions, roles and query plans."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.crm.sql import SqlSource
from contact_sync_tests.crm.contract import MICROSECOND, NOON, WINDOW, Record, ids, read
from contact_sync_tests.crm.sql_harness import TABLE, SqlHarness

SETTLE = timedelta(seconds=30)
INSERT = sa.text("INSERT INTO contacts (id, modified_at) VALUES (:id, now())")


@pytest.fixture
def harness(postgres_url: str) -> Iterator[SqlHarness]:
    harness = SqlHarness(postgres_url, sa.DateTime(timezone=True))
    yield harness
    harness.close()


@pytest.fixture
def clerk_url(harness: SqlHarness) -> Iterator[str]:
    """Make a user who may log in and see no other user's transactions."""
    with harness.engine.begin() as connection:
        connection.execute(sa.text("CREATE ROLE clerk LOGIN"))
    yield sa.make_url(harness.url).set(username="clerk").render_as_string(hide_password=False)
    with harness.engine.begin() as connection:
        connection.execute(sa.text("DROP OWNED BY clerk"))
        connection.execute(sa.text("DROP ROLE clerk"))


def test_the_horizon_follows_the_servers_clock(harness: SqlHarness) -> None:
    source = SqlSource(harness.url, TABLE, [], settle=SETTLE, clock=lambda: datetime(1970, 1, 1, tzinfo=UTC))
    with closing(source):
        before = datetime.now(UTC)
        assert before - SETTLE <= source.horizon() <= datetime.now(UTC) - SETTLE


def test_the_servers_own_time_is_told(harness: SqlHarness) -> None:
    before = datetime.now(UTC)
    told = harness.source().server_time()
    assert told is not None
    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)


def test_a_late_commit_is_not_lost(harness: SqlHarness) -> None:
    source = harness.source()
    start = source.horizon()
    with harness.engine.connect() as slow, harness.engine.connect() as quick:
        slow.execute(INSERT, {"id": "slow"})
        slow_stamp = slow.scalar(sa.text("SELECT now()"))
        quick.execute(INSERT, {"id": "quick"})
        quick.commit()

        horizon = source.horizon()
        assert horizon == slow_stamp - SETTLE
        assert read(source, Window(start, horizon + MICROSECOND)) == []

        slow.commit()
    assert source.horizon() > horizon
    assert ids(read(source, Window(horizon, datetime.now(UTC) + SETTLE))) == ["quick", "slow"]


def test_a_reading_transaction_does_not_hold_the_horizon(harness: SqlHarness) -> None:
    source = harness.source()
    with harness.engine.connect() as reader:
        began = reader.scalar(sa.text("SELECT now()"))
        assert source.horizon() > began - SETTLE


def test_a_writer_of_another_database_does_not_hold_the_horizon(
    harness: SqlHarness, postgres_server: sa.URL
) -> None:
    source = harness.source()
    elsewhere = sa.create_engine(postgres_server, poolclass=sa.NullPool)
    with elsewhere.connect() as writer:
        writer.execute(sa.text("CREATE TABLE elsewhere (id int)"))
        began = writer.scalar(sa.text("SELECT now()"))
        assert source.horizon() > began - SETTLE


def test_a_user_who_cannot_see_writers_is_told_once(
    clerk_url: str, harness: SqlHarness, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqlSource(clerk_url, TABLE, [], settle=SETTLE)) as source, caplog.at_level(logging.WARNING):
        source.horizon()
        source.horizon()
        assert [record.message.split("; ")[-1] for record in caplog.records] == ["grant it pg_read_all_stats"]
    with harness.engine.begin() as connection:
        connection.execute(sa.text("GRANT pg_read_all_stats TO clerk"))
    caplog.clear()
    with closing(SqlSource(clerk_url, TABLE, [], settle=SETTLE)) as source, harness.engine.connect() as writer:
        writer.execute(INSERT, {"id": "slow"})
        assert source.horizon() == writer.scalar(sa.text("SELECT now()")) - SETTLE
        assert caplog.records == []


def test_a_table_without_permission_is_a_configuration_error(clerk_url: str, harness: SqlHarness) -> None:
    harness.put([Record("1")])
    with (
        closing(SqlSource(clerk_url, TABLE, [], settle=SETTLE)) as source,
        pytest.raises(CrmConfigurationError, match=r"InsufficientPrivilege 42501\); grant SELECT"),
    ):
        read(source)


def test_a_following_page_is_a_range_of_the_index(harness: SqlHarness) -> None:
    source = harness.source()
    statement = source._statements.page(WINDOW, (NOON, "1")).compile(
        harness.engine, compile_kwargs={"literal_binds": True}
    )
    with harness.engine.connect() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))
        connection.execute(sa.text("SET enable_bitmapscan = off"))
        plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {statement}")))
    assert "Index Scan using ix_contacts_modified_at" in plan
    index_condition = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert index_condition.count("modified_at >=") == 1
    assert index_condition.count("modified_at <") == 1
