"""Opening the state database: SQLite by default, PostgreSQL by URL; private files, migrations, clear refusals.

What belongs here: the engine and its version. What is stored belongs to `tables`, how to `store`.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from contact_sync.contacts.requests import encoded

_SETTING = "CONTACT_SYNC_STATE_URL"
_MIGRATION_LOCK = 7_302_110
_LOCK_SECONDS = 30
_READS_ONLY = "contact_sync_reads_only"


class StateError(Exception):
    """The state database or a frame cannot be used; the message is one line for the operator."""


def open_database(url: str) -> Engine:
    """Return an engine on the state database, created if need be and migrated to this version.

    Args:
        url: A SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://…`.

    Raises:
        StateError: The URL is wrong, the database cannot be reached, or a newer contact_sync has written it.
    """
    engine = _engine(url)
    try:
        with _first_transaction(engine) as connection:
            _migrate(connection)
    except StateError:
        engine.dispose()
        raise
    return engine


def database_exists(url: str) -> bool:
    """Tell whether a state database is at `url` already; nothing is created or migrated.

    Raises:
        StateError: The URL is wrong, or the database cannot be reached.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return bool((path := sqlite_path(parsed)) and path.is_file())
    engine = _engine(url)
    try:
        with transaction(engine) as connection:
            return MigrationContext.configure(connection).get_current_revision() is not None
    finally:
        engine.dispose()


def database_version(url: str) -> tuple[str | None, str | None]:
    """Return the version of the database at `url`, and the one that opening it would bring it to.

    Nothing is migrated; a write that changes nothing shows that writing is possible.

    Raises:
        StateError: The database cannot be reached or written, or a newer contact_sync has written it.
    """
    engine = _engine(url)
    try:
        with _first_transaction(engine) as connection:
            script = ScriptDirectory.from_config(_migrations(connection))
            current = _current_version(connection, script)
            if current:
                connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            return current, script.get_current_head()
    finally:
        engine.dispose()


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction: committed at the end, rolled back by any exception.

    Raises:
        StateError: The database refused or failed. Its own words are left out: drivers quote whole rows.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        cause = error.__cause__ or error
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "no code"
        _hush(error)
        raise StateError(
            f"the state database failed ({type(cause).__name__}, {code}): nothing of this step was stored; check "
            "that it is reachable and has space, then run again"
        ) from None


def reading(engine: Engine) -> AbstractContextManager[Connection]:
    """Open a transaction that only reads: several may do so at once, and while another writes.

    Raises:
        StateError: As `transaction` does.
    """
    return transaction(engine.execution_options(**{_READS_ONLY: True}))


@contextmanager
def _first_transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = type(error.__cause__ or error).__name__
        _hush(error)
        raise StateError(f"the state database cannot be opened ({reason}): check {_SETTING}") from None


def _hush(error: BaseException) -> None:
    """Take the words out of a database's error: it stays the context of ours, which leaves a `with` block."""
    error.args = ()
    if error.__cause__:
        error.__cause__.args = ()


def _parsed(url: str) -> URL:
    with suppress(ArgumentError, ValueError):  # ValueError: the port is no number
        return make_url(url)
    raise StateError(f"{_SETTING} is not a SQLAlchemy URL such as sqlite:///state.db")


def _engine(url: str) -> Engine:
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise StateError(f"{_SETTING} names {backend}; the state database is SQLite or PostgreSQL")
    try:
        return _sqlite(parsed) if backend == "sqlite" else _postgresql(parsed)
    except (ModuleNotFoundError, NoSuchModuleError):
        raise StateError(
            f"{_SETTING} needs its driver: write sqlite:///, or postgresql+psycopg:// and install "
            "contact-sync[postgres]"
        ) from None


_OPTIONS: Mapping[str, Any] = {
    "hide_parameters": True,
    "json_serializer": encoded,
    "json_deserializer": orjson.loads,
}


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _LOCK_SECONDS}, **_OPTIONS)
    if path := sqlite_path(url):
        _make_private(path)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _postgresql(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True, **_OPTIONS)


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite database, which a URL may name as a URI; None for one in memory."""
    path = (url.database or ":memory:").removeprefix("file:")
    return None if path.startswith(":memory:") else Path(path)


def _make_private(path: Path) -> None:
    """Create the file readable by its owner only, before SQLite would with the process's umask."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateError(
            f"the state database {path} cannot be created ({error.strerror}): check {_SETTING}"
        ) from None


def _configure_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_immediate, not by the driver
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


# Another process may be opening the same new file: SQLite refuses the switch at once, whatever the timeout.
@retry(
    retry=retry_if_exception(_is_busy),
    stop=stop_after_delay(_LOCK_SECONDS),
    wait=wait_random(0.01, 0.1),
    reraise=True,
)
def _use_wal(cursor: DBAPICursor) -> None:
    cursor.execute("PRAGMA journal_mode=WAL")


def _begin_immediate(connection: Connection) -> None:
    # A read that later writes cannot be upgraded under another writer; taking the lock first makes it wait.
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    config = _migrations(connection)
    script = ScriptDirectory.from_config(config)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    if _current_version(connection, script) != script.get_current_head():
        command.upgrade(config, "head")


def _migrations(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("contact_sync.state") / "migrations"))
    config.attributes["connection"] = connection
    return config


def _current_version(connection: Connection, script: ScriptDirectory) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StateError(
            f"the state database is of a newer version ({current}) than this contact_sync: upgrade contact_sync"
        )
    return current
