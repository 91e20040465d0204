import sqlite3
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from contact_sync.state import database
from contact_sync.state.database import StateError, database_exists, database_version, open_database, transaction
from contact_sync.state.tables import METADATA

SECRET = "s3cret-of-the-database"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_migrations_make_exactly_the_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_asking_whether_there_is_a_database_makes_none(url: str) -> None:
    assert [database_exists(url) for _ in range(2)] == [False, False]
    open_database(url).dispose()
    assert database_exists(url)


def test_opening_again_changes_nothing(url: str) -> None:
    for _ in range(2):
        engine = open_database(url)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO budget (client) VALUES ('a') ON CONFLICT DO NOTHING"))
            assert connection.execute(text("SELECT count(*) FROM budget")).scalar_one() == 1
        engine.dispose()


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StateError) as refused:
        open_database(url)
    assert str(refused.value) == (
        "the state database is of a newer version (9999) than this contact_sync: upgrade contact_sync"
    )


def test_asking_for_the_version_migrates_nothing(url: str) -> None:
    engine = open_database(url)
    version, newest = database_version(url)
    assert version == newest is not None
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert [database_version(url) for _ in range(2)] == [("0001", newest)] * 2
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateError, match=r"of a newer version \(9999\)"):
        database_version(url)
    engine.dispose()


def test_a_database_that_can_only_be_read_is_refused(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/state.db").dispose()
    with pytest.raises(StateError, match=r"cannot be opened \(OperationalError\): check CONTACT_SYNC_STATE_URL"):
        database_version(f"sqlite:///file:{tmp_path}/state.db?mode=ro&uri=true")


def test_the_files_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    engine = open_database(f"sqlite:///{folder}/state.db")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO budget (client) VALUES ('a')"))
        assert {path.name for path in folder.iterdir()} == {"state.db", "state.db-wal", "state.db-shm"}
        assert {mode(path) for path in folder.iterdir()} == {0o600}
    engine.dispose()
    assert mode(folder) == 0o700


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_database(f"sqlite:///{tmp_path}/state.db").dispose()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "state.db") == 0o600


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_leaves_no_file(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_database(url)
    assert "contact_link" in inspect(engine).get_table_names()
    engine.dispose()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not a SQLAlchemy URL such as sqlite:///state.db"),
        (SECRET, "is not a SQLAlchemy URL such as sqlite:///state.db"),
        (f"postgresql+psycopg://u:{SECRET}@h:port/x", "is not a SQLAlchemy URL such as sqlite:///state.db"),
        (f"mysql://u:{SECRET}@h/x", "names mysql; the state database is SQLite or PostgreSQL"),
        ("sqlite+nosuch:///state.db", "needs its driver"),
        (f"postgresql+psycopg2://u:{SECRET}@h/x", "needs its driver: write sqlite:///, or postgresql+psycopg://"),
        (f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/x", "cannot be opened (OperationalError)"),
        ("sqlite:////proc/nowhere/state.db", "the state database /proc/nowhere/state.db cannot be created"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line_without_its_password(url: str, says: str) -> None:
    with pytest.raises(StateError) as refused:
        open_database(url)
    message = str(refused.value)
    assert says in message
    assert "CONTACT_SYNC_STATE_URL" in message
    assert "\n" not in message
    assert SECRET not in message
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("no database " * 100)
    with pytest.raises(StateError, match=r"cannot be opened \(DatabaseError\): check CONTACT_SYNC_STATE_URL"):
        open_database(f"sqlite:///{path}")
    assert path.read_text().startswith("no database")


def test_a_failure_does_not_quote_the_row(engine: Engine) -> None:
    insert = text("INSERT INTO unmapped_field (source, field) VALUES ('crm', 'secret')")
    with pytest.raises(StateError) as failed, transaction(engine) as connection:
        connection.execute(insert)
    assert str(failed.value).startswith("the state database failed (")
    assert "secret" not in "".join(traceback.format_exception(failed.value))


def test_a_transaction_passes_other_exceptions_on_and_keeps_nothing(engine: Engine) -> None:
    def stopped() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO budget (client) VALUES ('a')"))
            raise KeyError

    with pytest.raises(KeyError):
        stopped()
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM budget")).scalar_one() == 0


_OPEN = """
import sys
from contact_sync.state.database import open_database
print("ready", flush=True)
sys.stdin.readline()
open_database(sys.argv[1]).dispose()
"""


def test_two_processes_can_open_a_new_database_at_once(url: str) -> None:
    crowd = [
        subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-W", "error", "-c", _OPEN, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in crowd:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [(process.communicate(timeout=60)[1], process.returncode) for process in crowd]
    assert ends == [("", 0)] * 2
    engine = open_database(url)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


class Cursor:
    """Refuses with these SQLite error codes, one after another, then obeys."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0

    def execute(self, _statement: str) -> None:
        self.asked += 1
        if self.codes:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error


def test_the_journal_of_a_file_that_others_are_opening_is_asked_for_again() -> None:
    cursor = Cursor(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY)
    database._use_wal(cast("Any", cursor))
    assert cursor.asked == 3


def test_a_journal_that_cannot_be_is_asked_for_once() -> None:
    cursor = Cursor(sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError):
        database._use_wal(cast("Any", cursor))
    assert cursor.asked == 1
