import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync.state.database import StateError
from contact_sync.state.lock import delivery_lock

PATIENCE = 20.0  # seconds after which a test that waits for what never happens fails

HOLDER = """
import sys, sqlalchemy
from contact_sync.state.lock import delivery_lock
with delivery_lock(sqlalchemy.create_engine(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 -- ours
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def waiting_is_told(caplog: pytest.LogCaptureFixture) -> threading.Event:
    """Return an event that is set once somebody says that he waits for the lock."""
    waits = threading.Event()

    def notice(record: logging.LogRecord) -> bool:
        if record.getMessage() == "another run is delivering: waiting until it has finished":
            waits.set()
        return True

    caplog.set_level(logging.INFO, "contact_sync.state.lock")
    caplog.handler.addFilter(notice)
    return waits


class Waiter:
    """A thread that wants the lock; `waits` is set once it has said that it waits, `has` once it has it."""

    def __init__(self, engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
        self.waits, self.has = waiting_is_told(caplog), threading.Event()
        self._engine = engine
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def end(self) -> None:
        self._thread.join(PATIENCE)

    def _work(self) -> None:
        with delivery_lock(self._engine):
            self.has.set()


def backend_of_the_lock(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory'").scalar_one())


def test_another_process_waits_and_a_killed_one_holds_nobody_up(
    url: str, engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with held_by_another_process(url) as holder:
        waiter = Waiter(engine, caplog)
        assert waiter.waits.wait(PATIENCE)
        assert not waiter.has.is_set()
        holder.kill()
        holder.wait()
        assert waiter.has.wait(PATIENCE)
        waiter.end()


def test_the_lock_is_free_after_the_block_however_that_ends(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with delivery_lock(engine) as confirm:
        confirm()
        waiter = Waiter(engine, caplog)
        assert waiter.waits.wait(PATIENCE)
        assert not waiter.has.is_set()
    assert waiter.has.wait(PATIENCE)
    waiter.end()
    with pytest.raises(KeyError), delivery_lock(engine):
        raise KeyError
    with delivery_lock(engine):
        pass


def test_nobody_waits_for_a_database_in_memory() -> None:
    engine = sa.create_engine("sqlite://")
    with delivery_lock(engine) as confirm, delivery_lock(engine):
        confirm()
    engine.dispose()


def test_one_database_under_two_names_has_one_lock(
    tmp_path: Path, sqlite: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "state.db")
    linked = sa.create_engine(f"sqlite:///{tmp_path}/link.db")
    with delivery_lock(sqlite):
        waiter = Waiter(linked, caplog)
        assert waiter.waits.wait(PATIENCE)
    waiter.end()
    linked.dispose()


def test_the_locks_file_is_its_owners_only(tmp_path: Path, sqlite: sa.Engine) -> None:
    before = os.umask(0)
    try:
        with delivery_lock(sqlite):
            assert stat.S_IMODE((tmp_path / "state.db.lock").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path, sqlite: sa.Engine) -> None:
    (tmp_path / "state.db.lock").mkdir()
    with pytest.raises(StateError) as refused, delivery_lock(sqlite):
        pass
    assert str(refused.value).startswith(f"the lock {tmp_path}/state.db.lock cannot be made (Is a directory)")


def test_an_error_of_the_block_is_not_called_one_of_the_lock(engine: sa.Engine) -> None:
    with pytest.raises(FileNotFoundError), delivery_lock(engine):
        Path("nowhere").read_bytes()


def test_a_lock_that_was_lost_is_noticed(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with delivery_lock(engine) as confirm:
        confirm()
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_terminate_backend(backend_of_the_lock(connection))))
        with pytest.raises(StateError) as lost:
            confirm()
    assert str(lost.value).startswith("the state database's delivery lock was lost or refused (")
    with delivery_lock(engine) as confirm:
        confirm()
    engine.dispose()


def test_no_transaction_stays_open_while_it_is_held(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with delivery_lock(engine), engine.begin() as connection:
        pid = backend_of_the_lock(connection)
        query = sa.text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
        assert connection.execute(query, {"pid": pid}).scalar_one() == "idle"
    with engine.begin() as connection:
        held = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert held.scalar_one() == 0
    engine.dispose()


def test_a_server_that_is_away_is_told_without_its_password() -> None:
    engine = sa.create_engine("postgresql+psycopg://user:p4ssword@127.0.0.1:1/state")
    with pytest.raises(StateError) as refused, delivery_lock(engine):
        pass
    assert "(OperationalError): run again" in str(refused.value)
    assert "p4ssword" not in repr(refused.value)
    assert refused.value.__suppress_context__
