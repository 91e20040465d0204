"""What a row of a SQL CRM's table means.

What belongs here: when a row changed, whether its record is there, and its values. Which rows are read belongs to
`sql`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from contact_sync.crm.keys import id_of
from contact_sync.crm.source import Change, ChangeKind
from contact_sync.crm.sql_table import SqlTable
from contact_sync.crm.timestamps import instant_of

Row = Sequence[Any]
"""A row with the columns of `Layout.columns`, or of `Layout.keys`."""

_YES = frozenset({"1", "t", "true", "y", "yes"})
_NO = frozenset({"", "0", "f", "false", "n", "no"})


class RowReader:
    """Reads rows of one table."""

    def __init__(self, table: SqlTable, fields: Sequence[str]) -> None:
        self.fields = tuple(dict.fromkeys(fields))
        self._table = table

    def dated(self, rows: Sequence[Row]) -> Iterator[tuple[datetime, Row]]:
        """Yield the rows with a readable time of change, each with that, in UTC."""
        for row in rows:
            instant = instant_of(row[0], self._table.zone)
            if instant:
                yield instant, row

    def change(self, row: Row, modified_at: datetime) -> Change:
        """Return a row as a change.

        Raises:
            CrmConfigurationError: `deleted` holds what neither says yes nor no.
        """
        kind, survivor = self._kind(row)
        return Change(
            crm_id=id_of(row[1]),
            version=modified_at.isoformat(timespec="microseconds"),
            modified_at=modified_at,
            kind=kind,
            fields=dict(zip(self.fields, row[len(row) - len(self.fields) :], strict=True)),
            merged_into=survivor,
        )

    def living(self, rows: Sequence[Row]) -> list[str]:
        """Return the ids of the rows whose records are neither deleted nor merged away.

        Raises:
            CrmConfigurationError: `deleted` holds what neither says yes nor no.
        """
        return [id_of(row[1]) for row in rows if self._kind(row)[0] == "upsert"]

    def _kind(self, row: Row) -> tuple[ChangeKind, str | None]:
        """Return what a row says of its record, and the record that it was merged into."""
        marks = list(row[2:])
        deleted = marks.pop(0) if self._table.deleted else None
        survivor = id_of(marks.pop(0)) if self._table.merged_into else ""
        gone = self._is_deleted(deleted) if self._table.deleted else bool(survivor)
        if not gone:
            return "upsert", None
        return ("merge", survivor) if survivor else ("delete", None)

    def _is_deleted(self, value: object) -> bool:
        answer = _truth(value, self._table.zone)
        if answer is None:
            raise self._table.misnamed(
                f"values in {self._table.deleted} that are neither yes, no nor a time",
                "deleted",
            )
        return answer


def _truth(value: object, zone: ZoneInfo) -> bool | None:
    """Whether a value of any type says yes; a time does. None: it says neither."""
    if isinstance(value, bytes | bytearray | memoryview):  # MySQL's BIT
        return any(bytes(value))
    if not isinstance(value, str):
        return bool(value)
    word = value.strip()
    if word.lower() in _NO:
        return False
    return True if word.lower() in _YES or instant_of(word, zone) else None
