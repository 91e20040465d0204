"""The delivery lock: one delivery at a time on a state database, whoever started it.

Who is who is decided from what the state database says; two deliveries side by side would each create a person
whom the other is just creating. The lock ends with its process, however that dies, so nobody waits for a dead one.
What belongs here: the lock. The pace, which any number of processes share, belongs to `pace`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from contact_sync.state.database import StateError, sqlite_path

_KEY = 7_302_111  # an advisory lock of PostgreSQL is a number, and of one database
_TRY = text("SELECT pg_try_advisory_lock(:key)")
_WAIT = text("SELECT pg_advisory_lock(:key)")
_FREE = text("SELECT pg_advisory_unlock(:key)")
_PROBE = text("SELECT 1")

_log = logging.getLogger(__name__)


@contextmanager
def delivery_lock(engine: Engine) -> Iterator[Callable[[], None]]:
    """Wait until no other process delivers, and keep them out until the block ends.

    Yields:
        A check to call before what the lock protects is stored; it raises `StateError` if the lock was lost
        because the connection to PostgreSQL was.

    Raises:
        StateError: PostgreSQL could not be asked, or the lock's file cannot be made.
    """
    if engine.dialect.name == "postgresql":
        with _advisory(engine) as connection:
            yield lambda: _confirm(connection)
    elif path := sqlite_path(engine.url):
        with _file(f"{Path(path).resolve()}.lock"):
            yield lambda: None
    else:  # a database in memory is nobody else's
        yield lambda: None


@contextmanager
def _file(path: str) -> Iterator[None]:
    lock = FileLock(path, mode=0o600)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _announce()
            lock.acquire()
    except OSError as error:
        raise StateError(
            f"the lock {path} cannot be made ({error.strerror}): check CONTACT_SYNC_STATE_URL"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _advisory(engine: Engine) -> Iterator[Connection]:
    """Hold a lock of the session: outside of any transaction, so that none stays open for hours."""
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(_TRY, {"key": _KEY}).scalar_one():
            _announce()
            connection.execute(_WAIT, {"key": _KEY})
    except SQLAlchemyError as error:
        raise _lost(error) from None
    try:
        yield connection
    finally:
        try:
            connection.execute(_FREE, {"key": _KEY})
        except SQLAlchemyError:
            connection.invalidate()  # the lock went with the connection
        connection.close()


def _confirm(connection: Connection) -> None:
    try:
        connection.execute(_PROBE)
    except SQLAlchemyError as error:
        raise _lost(error) from None


def _lost(error: SQLAlchemyError) -> StateError:
    kind = type(error.__cause__ or error).__name__
    return StateError(f"the state database's delivery lock was lost or refused ({kind}): run again")


def _announce() -> None:
    _log.info("another run is delivering: waiting until it has finished")
