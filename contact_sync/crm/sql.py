"""Contacts from one table or view of a SQL database.

What belongs here: which rows are read, page by page. What is asked belongs to `sql_statements`, what a row means
to `sql_rows`, the table's settings to `sql_table`, engines and their errors to `database`, stored timestamps to
`timestamps`, stored ids to `keys`. Nothing here writes to the CRM.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.database import Database
from contact_sync.crm.keys import id_of
from contact_sync.crm.source import Change, Stamp
from contact_sync.crm.sql_rows import Row, RowReader
from contact_sync.crm.sql_statements import Position, Statement, Statements
from contact_sync.crm.sql_table import Layout, SqlTable, find_table
from contact_sync.crm.timestamps import prepare

__all__ = ["SqlSource", "SqlTable"]

_log = logging.getLogger(__name__)

EXAMPLES = 50
"""Rows that are looked at for a value of each column."""

MAX_IDS = 500
"""Ids of one query: what one IN list holds without trouble on any database."""

BLIND = (
    "the CRM user cannot see open transactions of others, so only the settle delay guards against late commits; "
    "grant it pg_read_all_stats"
)
"""What is said of a user of PostgreSQL without that role."""

_POSTGRES_HORIZON = sa.text(
    "SELECT least(clock_timestamp(), (SELECT min(xact_start) FROM pg_stat_activity"
    " WHERE backend_xid IS NOT NULL AND datname = current_database())),"
    " pg_has_role('pg_read_all_stats', 'USAGE')"
)

_POSTGRES_CLOCK = sa.text("SELECT clock_timestamp()")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqlSource:
    """Windows of changes from one table; keeps `CrmSource`.

    Pages are read by keyset on (modified_at, id), each in a short transaction of its own: nothing stays open on
    the customer's database, and a lost connection costs one page. Values come as the driver gives them. One
    portable condition serves every dialect; an index on (modified_at, id), or on modified_at alone, serves it.

    Args:
        url: SQLAlchemy URL with its driver.
        table: The table and its key columns.
        fields: The CRM columns that the registry lists.
        name: The source's name in ledgers and reports.
        settle: How long a change may need to become visible. On a replica it has to exceed the replication lag.
        clock: Now, aware; for databases whose own clock is not asked.
        page_size: Rows of one page.

    Raises:
        CrmConfigurationError: The URL is none, names no driver, or its driver is not installed.
    """

    def __init__(
        self,
        url: str,
        table: SqlTable,
        fields: Sequence[str],
        *,
        name: str = "sql",
        settle: timedelta,
        clock: Callable[[], datetime] = _utc_now,
        page_size: int = 2000,
    ) -> None:
        self.name = name
        self._database = Database(url)
        prepare(self._database.engine, table.zone)
        self._table = table
        self._rows = RowReader(table, fields)
        self._settle = settle
        self._clock = clock
        self._page_size = page_size
        self._said_blind = False

    def close(self) -> None:
        """Close the connections to the CRM."""
        self._database.close()

    def horizon(self) -> datetime:
        """Return the newest instant that is safe to read up to; aware, UTC.

        The clock less the settle delay. PostgreSQL is asked for its own clock and for the start of its oldest
        writing transaction: that one's rows carry times from then on and nobody sees them yet, so when it is the
        earlier of the two the delay counts from there.

        Raises:
            CrmUnavailableError: The CRM cannot be reached.
        """
        if self._database.dialect != "postgresql":
            return self._clock().astimezone(UTC) - self._settle
        settled, sees_writers = self._database.read(_POSTGRES_HORIZON)[0]
        if not (sees_writers or self._said_blind):
            self._said_blind = True
            _log.warning(BLIND)
        horizon: datetime = settled.astimezone(UTC) - self._settle
        return horizon

    def sees_writers(self) -> bool:
        """Tell whether open transactions hold the horizon back, as far as the database can tell of them at all.

        Raises:
            CrmUnavailableError: The CRM cannot be reached.
        """
        return self._database.dialect != "postgresql" or bool(self._database.read(_POSTGRES_HORIZON)[0][1])

    def server_time(self) -> datetime | None:
        """Return the time of the CRM's own clock, in UTC; None for a database that is not asked for it.

        Raises:
            CrmUnavailableError: The CRM cannot be reached.
        """
        if self._database.dialect != "postgresql":
            return None
        told: datetime = self._database.read(_POSTGRES_CLOCK)[0][0]
        return told.astimezone(UTC)

    def changes(self, window: Window) -> Iterator[Sequence[Change]]:
        """Yield the changes with `window.start <= modified_at < window.end`, page by page.

        `version` is modified_at to the microsecond. A row that `deleted` marks is a `delete`, or a `merge` if
        `merged_into` is set; in a table without `deleted`, `merged_into` alone marks the merge.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        for rows in self._read(window, self._statements.page):
            yield [self._rows.change(row, instant) for instant, row in rows]

    def current(self, ids: Sequence[str]) -> Iterator[Sequence[Change]]:
        """Yield each record with one of `ids` as `changes` would give it now, page by page.

        A record that is gone, or without a readable modified_at, yields nothing.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        asked = list(dict.fromkeys(ids))
        size = min(self._page_size, MAX_IDS)
        for start in range(0, len(asked), size):
            page = asked[start : start + size]
            wanted = frozenset(page)
            rows = self._database.read(self._statements.of_ids(page))
            found = (self._rows.change(row, instant) for instant, row in self._rows.dated(rows))
            changes = [change for change in found if change.crm_id in wanted]
            if changes:
                yield changes

    def count(self, window: Window) -> int:
        """Return how many changes `changes(window)` would yield now; one query.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        statements = self._statements
        if self._layout.timestamps.is_exact(window):
            return int(self._database.read(statements.count(window))[0][0])
        rows = self._rows.dated(self._database.read(statements.stamps(window)))
        return sum(count for instant, (_, count) in rows if instant in window)

    def stamps(self, window: Window) -> Iterator[Sequence[Stamp]]:
        """Yield ids and times of change of what `changes(window)` would yield now, page by page.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        for rows in self._read(window, self._statements.places):
            yield [(id_of(row[1]), instant) for instant, row in rows]

    def living(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all rows that neither `deleted` nor, without that, `merged_into` marks, page by page.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        rows = self._database.read(self._statements.keys())
        while rows:
            if ids := self._rows.living(rows):
                yield ids
            if len(rows) < self._page_size:
                return
            rows = self._database.read(self._statements.keys(after=rows[-1][1]))

    def unlisted(self, window: Window) -> Mapping[str, int]:
        """Count, per column that the registry does not list, the rows of the window that carry a value.

        One aggregate query; columns without a value are left out. When the clocks of the table's timezone change,
        rows of the neighbouring hour may be counted too.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        columns = self._layout.unlisted
        if not columns:
            return {}
        counts = self._database.read(self._statements.filled(window))[0]
        return {column.name: count for column, count in zip(columns, counts, strict=True) if count}

    def examples(self, window: Window) -> Mapping[str, Any]:
        """Return a value for each column that the registry does not list, from some rows of the window.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        columns = self._layout.unlisted
        if not columns:
            return {}
        examples: dict[str, Any] = {}
        for row in self._database.read(self._statements.some(window, EXAMPLES)):
            for column, value in zip(columns, row, strict=True):
                if value is not None:
                    examples.setdefault(column.name, value)
        return examples

    def undated(self) -> int:
        """Count the rows that no window can hold: modified_at missing or unreadable, or no id.

        Raises:
            CrmConfigurationError: A table, column or permission that the settings name is missing.
            CrmUnavailableError: The CRM cannot be reached.
        """
        return int(self._database.read(self._statements.undated())[0][0])

    def _read(
        self, window: Window, statement: Callable[[Window, Position | None], Statement]
    ) -> Iterator[Sequence[tuple[datetime, Row]]]:
        """Yield the rows of a window with their times, page by page."""
        after: Position | None = None
        while True:
            rows = self._database.read(statement(window, after))
            if found := [(instant, row) for instant, row in self._rows.dated(rows) if instant in window]:
                yield found
            if len(rows) < self._page_size:
                return
            last = (rows[-1][0], rows[-1][1])
            if last == after:  # SQL Server keeps 100 ns, Python microseconds: many equal times would never end
                raise self._table.misnamed(
                    f"times in {self._table.modified_at} that are finer than a microsecond (a view can cast them)",
                    "modified_at",
                )
            after = last

    @cached_property
    def _layout(self) -> Layout:
        return find_table(self._database, self._table, self._rows.fields)

    @cached_property
    def _statements(self) -> Statements:
        return Statements(self._layout, self._database.dialect, self._page_size)
