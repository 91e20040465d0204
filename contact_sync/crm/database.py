"""A CRM database behind a URL: reading it, and saying in one line why it could not be read.

What belongs here: engines, drivers and the translation of their errors. Which table is read, and how, belongs to
`sql`. SQLAlchemy's and the drivers' messages hold bound values, so none of them leaves this module.
"""

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

from contact_sync.crm.source import CrmConfigurationError, CrmError, CrmUnavailableError

_T = TypeVar("_T")

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

    Raises:
        CrmConfigurationError: The URL is none, names no driver, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.dialect = self.engine.dialect.name

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
        try:
            with self.engine.connect() as connection:
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
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
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
