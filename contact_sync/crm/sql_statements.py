"""What a SQL CRM's table is asked: statements for every dialect, of its own columns and bound values alone.

What belongs here: statements. Names come from the settings, whose pattern allows plain identifiers only, and are
checked against the database by `sql_table`; nothing that a record holds becomes part of a statement's text.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from contact_sync.contacts.window import Window
from contact_sync.crm.keys import any_of
from contact_sync.crm.sql_table import Layout
from contact_sync.crm.timestamps import Condition

Statement = sa.Select[Any]
Position = tuple[Any, Any]
"""modified_at and id of the last row of a page, as stored."""


class Statements:
    """The statements over one table."""

    def __init__(self, layout: Layout, dialect: str, page_size: int) -> None:
        self._layout = layout
        self._dialect = dialect
        self._page_size = page_size

    def page(self, window: Window, after: Position | None = None) -> Statement:
        """Return the statement of a window's next rows, in the order of (modified_at, id)."""
        return self._page(self._layout.columns, window, after)

    def places(self, window: Window, after: Position | None = None) -> Statement:
        """Return the statement of the times and ids alone of a window's next rows."""
        return self._page((self._layout.modified_at, self._layout.id), window, after)

    def _page(self, columns: Sequence[sa.ColumnElement[Any]], window: Window, after: Position | None) -> Statement:
        layout = self._layout
        reached, last_id = after or (None, None)
        statement = self._rows(*columns).where(self._within(window, reached))
        if after:
            # With `modified_at >= reached` this is the keyset condition, in the form of which every planner makes
            # a range of the index; of `a > x OR (a = x AND b > y)` PostgreSQL makes none.
            statement = statement.where(sa.or_(layout.modified_at > reached, layout.id > last_id))
        return statement.order_by(layout.modified_at, layout.id).limit(self._page_size)

    def of_ids(self, ids: Sequence[str]) -> Statement:
        """Return the statement of the rows with one of `ids`, and of some that a collation takes for these."""
        return self._rows(*self._layout.columns).where(any_of(self._dialect, self._layout.id, ids))

    def keys(self, after: object = None) -> Statement:
        """Return the statement of the table's next keys, in the order of the id, from the stored id `after` on."""
        layout = self._layout
        statement = self._rows(*layout.keys).where(layout.id.is_not(None))
        if after is not None:
            statement = statement.where(layout.id > after)
        return statement.order_by(layout.id).limit(self._page_size)

    def count(self, window: Window) -> Statement:
        """Return the statement that counts a window's rows, where its condition is exact."""
        return self._rows(sa.func.count()).where(self._within(window))

    def stamps(self, window: Window) -> Statement:
        """Return the statement of the stored times of a window and its neighbours, and how many rows have each."""
        at = self._layout.modified_at
        return self._rows(at, sa.func.count()).where(self._within(window)).group_by(at)

    def filled(self, window: Window) -> Statement:
        """Return the statement that counts the values in each unlisted column."""
        return self._rows(*map(sa.func.count, self._layout.unlisted)).where(self._within(window))

    def some(self, window: Window, rows: int) -> Statement:
        """Return the statement of a few rows' unlisted columns."""
        return self._rows(*self._layout.unlisted).where(self._within(window)).limit(rows)

    def undated(self) -> Statement:
        """Return the statement that counts the rows that no window can hold."""
        layout = self._layout
        lost = sa.or_(layout.timestamps.unreadable(layout.modified_at), layout.id.is_(None))
        return self._rows(sa.func.count()).where(lost)

    def _rows(self, *columns: sa.ColumnElement[Any]) -> Statement:
        return sa.select(*columns).select_from(self._layout.table)

    def _within(self, window: Window, reached: date | str | None = None) -> Condition:
        layout = self._layout
        return sa.and_(layout.timestamps.within(layout.modified_at, window, reached), layout.id.is_not(None))
