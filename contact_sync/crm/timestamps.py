"""What the stored timestamps of a SQL table mean, and how a window is asked of them.

A stored form narrows in the database and never loses a row of the window; it may let through neighbours (rows
near a clock change), so the reader decides by what `instant_of` returns. What belongs here: conversion between
instants and stored values. Which table is read, and how, belongs to `sql`.
"""

import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.types import TypeEngine

from contact_sync.contacts.window import Window

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_STARTS_WITH_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Column = sa.ColumnClause[Any]
Condition = sa.ColumnElement[bool]


@dataclass(frozen=True)
class NativeTimestamps:
    """Columns of a date or timestamp type; naive values are local times of `zone`, dates its midnights.

    A local time that the clocks went through twice means its first passage.
    """

    type_: TypeEngine[Any]
    zone: ZoneInfo

    def within(self, column: Column, window: Window, reached: date | str | None = None) -> Condition:
        """Return a condition on the window's ends, converted to what the column stores; an index serves it.

        `reached` is the stored value that reading goes on from.
        """
        low, high = self._stored_ends(window)
        return sa.and_(column >= (reached or low), column < high)

    def is_exact(self, window: Window) -> bool:
        """Tell whether `within` lets nothing else through: the clocks do not change near the window."""
        return all(len(set(self._offsets(end))) == 1 for end in (window.start, window.end))

    def unreadable(self, column: Column) -> Condition:
        """Return the condition of the rows without a timestamp."""
        return column.is_(None)

    def _stored_ends(self, window: Window) -> tuple[date, date]:
        if _keeps_offset(self.type_):
            return window.start, window.end
        low = window.start.astimezone(UTC).replace(tzinfo=None) + min(self._offsets(window.start))
        high = window.end.astimezone(UTC).replace(tzinfo=None) + max(self._offsets(window.end))
        if isinstance(self.type_, sa.Date):
            return (low + _DAY - _MICROSECOND).date(), (high + _DAY - _MICROSECOND).date()
        return low, high

    def _offsets(self, instant: datetime) -> list[timedelta]:
        """The UTC offsets in force within a day of `instant`: two of them when the clocks change."""
        around = (instant - _DAY, instant, instant + _DAY)
        return [near.astimezone(self.zone).utcoffset() or timedelta() for near in around]


class SqliteTimestamps:
    """SQLite, which has no timestamp type: ISO 8601 text in any mixture of its forms.

    `2026-03-01 10:00`, `2026-03-01T10:00:00.5`, `2026-03-01T10:00:00Z`, `2026-03-01 12:00:00+02:00` and
    `2026-03-01` do not sort as text, so an SQL function made of `instant_of` compares them; `prepare` installs it.
    The text is compared too, by the day, which any offset stays within and which an index can serve.
    """

    type_: TypeEngine[Any] = sa.Text()

    def within(self, column: Column, window: Window, reached: date | str | None = None) -> Condition:
        """Return a condition that is exact through the SQL function, and that an index on the text serves.

        `reached` is the stored value that reading goes on from.
        """
        start, end = window.start.astimezone(UTC), window.end.astimezone(UTC)
        return sa.and_(
            column >= (reached or (start - _DAY).date().isoformat()),
            column < (end + 2 * _DAY).date().isoformat(),
            # BETWEEN calls the function once a row; the stamps are whole microseconds.
            sa.func.contact_sync_utc(column).between(_stamp(start), _stamp(end - _MICROSECOND)),
        )

    def is_exact(self, window: Window) -> bool:  # noqa: ARG002 (any window)
        """Tell that `within` lets nothing else through."""
        return True

    def unreadable(self, column: Column) -> Condition:
        """Return the condition of the rows whose value is missing or not ISO 8601 text."""
        return sa.func.contact_sync_utc(column).is_(None)


StoredTimestamps = NativeTimestamps | SqliteTimestamps


def stored_timestamps(dialect: str, type_: TypeEngine[Any], zone: ZoneInfo) -> StoredTimestamps | None:
    """Return how a column of `type_` stores instants; None if it is no date or time."""
    if dialect == "sqlite":
        return None if isinstance(type_, sa.Integer | sa.Float) else SqliteTimestamps()
    return NativeTimestamps(type_, zone) if isinstance(type_, sa.DateTime | sa.Date) else None


def prepare(engine: sa.Engine, zone: ZoneInfo) -> None:
    """Give every coming connection of a SQLite engine the function that `SqliteTimestamps` compares with."""
    if engine.dialect.name != "sqlite":
        return

    def utc_of(stored: object) -> str | None:
        instant = instant_of(stored, zone) if isinstance(stored, str) else None
        return None if instant is None else _stamp(instant)

    @event.listens_for(engine, "connect")
    def install(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function("contact_sync_utc", 1, utc_of, deterministic=True)


def instant_of(stored: object, zone: ZoneInfo) -> datetime | None:
    """Return the instant, in UTC, of a stored timestamp, date or ISO 8601 text; None for anything else.

    Text has to start with `YYYY-MM-DD`. Values without an offset are local times of `zone`, dates its midnights.
    """
    try:
        if isinstance(stored, str) and _STARTS_WITH_DATE.match(stored):
            return _in_utc(datetime.fromisoformat(stored), zone)
        if isinstance(stored, datetime):
            return _in_utc(stored, zone)
        if isinstance(stored, date):
            return _in_utc(datetime.combine(stored, time()), zone)
    except (ValueError, OverflowError):
        pass
    return None


def _keeps_offset(type_: TypeEngine[Any]) -> bool:
    # SQL Server's DATETIMEOFFSET does not carry SQLAlchemy's `timezone` flag.
    return bool(getattr(type_, "timezone", False)) or type_.__visit_name__ == "DATETIMEOFFSET"


def _in_utc(moment: datetime, zone: ZoneInfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _stamp(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")
