"""What Salesforce answers, as rows, and a row as a change.

What belongs here: JSON and CSV as the same rows, fields by their paths as they were asked for. Salesforce keeps no
empty text, so that no value and an empty one are the same.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contact_sync.crm.source import Change, CrmConfigurationError, CrmUnavailableError

ID, STAMP, DELETED, SURVIVOR = "Id", "SystemModstamp", "IsDeleted", "MasterRecordId"
PARENT_STAMP = "Account.SystemModstamp"
MERGED = frozenset({"Account", "Contact", "Lead"})
"""The objects whose records can lose a merge."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """What is selected of the object, and what it means.

    Attributes:
        object: The object.
        fields: The registry's fields.
        with_parent: Whether a change of the account is a change of the record.
    """

    object: str
    fields: Sequence[str]
    with_parent: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Every path that is selected, once."""
        keys = [ID, STAMP, DELETED]
        keys += [SURVIVOR] if self.object in MERGED else []
        keys += [PARENT_STAMP] if self.with_parent else []
        return tuple(dict.fromkeys([*keys, *self.fields]))

    @property
    def stamps(self) -> tuple[str, ...]:
        """The paths that tell which record it is, and how new."""
        return (ID, STAMP, PARENT_STAMP) if self.with_parent else (ID, STAMP)

    def modified_at(self, row: Row) -> datetime:
        """Return how new a row is: as the newer of the record and, with `with_parent`, its account."""
        own = stamp_of(row[STAMP])
        return max(own, stamp_of(row[PARENT_STAMP])) if self.with_parent and row[PARENT_STAMP] else own

    def change(self, row: Row) -> Change:
        """Return a row as the change that it is; how new it is is its version."""
        modified_at = self.modified_at(row)
        gone = row[DELETED] == "true"
        survivor = row.get(SURVIVOR) if gone else None
        return Change(
            crm_id=str(row[ID]),
            version=modified_at.isoformat(timespec="milliseconds"),
            modified_at=modified_at,
            kind="upsert" if not gone else "merge" if survivor else "delete",
            fields={name: row[name] for name in self.fields},
            merged_into=survivor,
        )


def stamp_of(value: object) -> datetime:
    """Return a stamp of Salesforce as an instant in UTC."""
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        pass
    raise CrmUnavailableError(f"Salesforce answered a {STAMP} that is no time")


def rows_of_json(records: object, columns: Sequence[str]) -> list[Row]:
    """Return the records of an answer as rows.

    Raises:
        CrmConfigurationError: A field is compound.
        CrmUnavailableError: They are no records.
    """
    if not isinstance(records, list):
        raise CrmUnavailableError("Salesforce answered a query without records")
    paths = [(path, path.split(".")) for path in columns]
    return [{path: _plain(_walk(record, steps), path) for path, steps in paths} for record in records]


def rows_of_csv(content: bytes, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of CSV with a header line, without holding them all.

    Raises:
        CrmUnavailableError: A column is missing, or it is no CSV.
    """
    if not content:  # a job that found nothing
        return
    reader = csv.reader(io.StringIO(content.decode("utf-8", errors="replace").replace("\0", ""), newline=""))
    places = _places([name.lower() for name in _next(reader)], columns)
    while values := _next(reader):
        if len(values) <= max(place for _, place in places):
            raise CrmUnavailableError("Salesforce answered a line of CSV that is cut off")
        yield {path: values[place] or None for path, place in places}


def _places(header: Sequence[str], columns: Sequence[str]) -> list[tuple[str, int]]:
    for path in columns:
        if path.lower() not in header:
            raise CrmUnavailableError(f"Salesforce answered CSV without the column {path}")
    return [(path, header.index(path.lower())) for path in columns]


def _next(reader: Iterator[list[str]]) -> list[str]:
    try:
        return next(reader, [])
    except csv.Error:
        pass
    raise CrmUnavailableError("Salesforce answered something that is no CSV")


def _walk(record: object, path: Sequence[str]) -> object:
    value = record
    for step in path:
        if value is None:
            return None
        value = _member(value, step)
    return value


def _member(record: object, name: str) -> object:
    """Return a field of a record, which Salesforce names in its own case."""
    if isinstance(record, dict):
        if name in record:
            return record[name]
        for key, value in record.items():
            if key.lower() == name.lower():
                return value
    raise CrmUnavailableError(f"Salesforce answered a record without the field {name}")


def _plain(value: object, path: str) -> object:
    if isinstance(value, dict | list):
        raise CrmConfigurationError(
            f"{path} is a compound field of Salesforce: list the fields that it is made of in the registry"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return (value.replace("\0", "") or None) if isinstance(value, str) else value
