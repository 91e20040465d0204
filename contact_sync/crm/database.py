"""A CRM database behind a URL: reading it, and saying in one line why it could not be read.

What belongs here: engines, drivers and the translation of their errors. Which table is read, and how, belongs to
`sql`. SQLAlchemy's and the drivers' messages hold bound values, so none of them leaves this module.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    NoSuchModuleError,
    NoSuchTableError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.types import TypeEngine
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmUnavailableError

_T = TypeVar("_T")

CONNECT_SECONDS = 10
READ_SECONDS = 300
"""How long one statement may take: a page by an index takes milliseconds, a count without one a minute."""

_ATTEMPTS = 3
_LIMITS: Mapping[str, Mapping[str, int]] = {
    "psycopg": {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 60_000, "keepalives_idle": 30},
    "pymysql": {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS},
    "pyodbc": {"timeout": CONNECT_SECONDS},
    "oracledb": {"tcp_connect_timeout": CONNECT_SECONDS},
}
"""What each driver calls it; a URL that says the same wins."""

_SETTING = "CONTACT_SYNC_CRM_URL"
_EXAMPLE_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+pyodbc",
    "oracle": "oracle+oracledb",
}


class Database:
    """A database that is only read. SQLite files are opened read-only, so a mistyped path creates nothing.

    A server that does not answer is asked three times; each time it has so many seconds to connect, and PostgreSQL
    and MySQL so many for a statement.

    Raises:
        CrmConfigurationError: The URL is none, names no driver, or its driver is not installed.
    """

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.engine = _engine(url)
        self.dialect = self.engine.dialect.name
        self._attempts = Retrying(
            stop=stop_after_attempt(1 if self.dialect == "sqlite" else _ATTEMPTS),  # a file does not come back
            wait=wait_random_exponential(multiplier=0.5, max=10),
            retry=retry_if_exception_type(CrmUnavailableError),
            sleep=sleep,
            reraise=True,
        )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def read(self, statement: sa.Executable) -> Sequence[Sequence[Any]]:
        """Return all rows of `statement`, read in a transaction of its own.

        Raises:
            CrmConfigurationError: The database refuses the statement.
            CrmUnavailableError: The database cannot be reached.
        """
        return self._connected(lambda connection: connection.execute(statement).all())

    def columns(self, table: str, schema: str | None) -> Mapping[str, TypeEngine[Any]] | None:
        """Return the type of each column of a table or view; None if there is no such table.

        Raises:
            CrmConfigurationError: The database refuses to describe it.
            CrmUnavailableError: The database cannot be reached.
        """

        def describe(connection: sa.Connection) -> Mapping[str, TypeEngine[Any]] | None:
            try:
                found = sa.inspect(connection).get_columns(table, schema=schema)
            except NoSuchTableError:
                return None
            return {column["name"]: column["type"] for column in found} or None

        return self._connected(describe)

    def _connected(self, work: Callable[[sa.Connection], _T]) -> _T:
        found: _T = self._attempts.copy()(self._attempt, work)
        return found

    def _attempt(self, work: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self.engine.connect() as connection:
                if self.dialect == "postgresql":  # of this transaction, so that a pooler passes it on to nobody
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{READ_SECONDS}s'")
                return work(connection)
        except SQLAlchemyError as error:
            failure = _failure(error)
        raise failure  # after the handler, so that the driver's message is not even its context


def _failure(error: SQLAlchemyError) -> CrmError:
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    what = f"{type(cause).__name__} {code}" if code else type(cause).__name__
    if isinstance(error, ProgrammingError | DataError | NotSupportedError):
        return CrmConfigurationError(
            f"the CRM database refused to be read ({what}); grant SELECT on the table to the user of {_SETTING} "
            "and compare crm.table in contact_sync.yaml with the table"
        )
    return CrmUnavailableError(
        f"the CRM database could not be read ({what}); check that it runs and that the address, user, password "
        f"and database of {_SETTING} are right"
    )


def _engine(url: str) -> sa.Engine:
    try:
        parsed = _with_driver(sa.make_url(url))
        limits = _LIMITS.get(parsed.get_driver_name(), {})
        said = {name: limit for name, limit in limits.items() if name not in parsed.query}
        return sa.create_engine(parsed, connect_args=said, hide_parameters=True, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError):
        problem = "names a driver that is not installed"
    except (ArgumentError, ValueError):
        problem = "is not a database URL such as postgresql+psycopg://user@host/database"
    raise CrmConfigurationError(f"{_SETTING} {problem}")


def _with_driver(url: sa.URL) -> sa.URL:
    dialect = url.drivername
    if dialect == "sqlite" or dialect.startswith("sqlite+"):
        return _read_only(url)
    if "+" not in dialect:
        example = _EXAMPLE_DRIVERS.get(dialect, f"{dialect}+driver")
        raise CrmConfigurationError(f"{_SETTING} names no driver: write {example}:// in place of {dialect}://")
    return url


def _read_only(url: sa.URL) -> sa.URL:
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        return url
    return url.set(database=f"file:{quote(str(url.database))}", query={**url.query, "mode": "ro", "uri": "true"})
