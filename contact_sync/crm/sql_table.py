"""The settings of a SQL CRM's table, and the table as the database has it.

What belongs here: names, and whether the database knows them. Reading rows belongs to `sql`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy.types import TypeEngine

from contact_sync.crm.database import Database
from contact_sync.crm.source import CrmConfigurationError
from contact_sync.crm.timestamps import Column, StoredTimestamps, stored_timestamps

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]

_KEYS = ("modified_at", "id", "deleted", "merged_into")


class SqlTable(BaseModel):
    """The table or view that holds the CRM's contacts, one row each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier = Field(description="Table or view.")
    schema_: Identifier | None = Field(
        None,
        alias="schema",
        description="Its schema; without one, where the database user's search path finds it.",
    )
    id: Identifier = Field(description="Column of the record's id: unique, never reused.")
    modified_at: Identifier = Field(
        description="Column of the last change: date, timestamp or, in SQLite, ISO 8601 text. Index it."
    )
    deleted: Identifier | None = Field(
        None,
        description="Column that marks deleted records: yes or no in any usual form, or the time of deletion.",
    )
    merged_into: Identifier | None = Field(
        None, description="Column of the surviving record's id, set on records that lost a merge."
    )
    timezone: str = Field(
        "UTC", description="IANA timezone of timestamps without an offset, such as Europe/Berlin."
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError("not an IANA timezone; write one such as UTC or Europe/Berlin") from None
        return timezone

    @property
    def zone(self) -> ZoneInfo:
        """The timezone."""
        return ZoneInfo(self.timezone)

    @property
    def full_name(self) -> str:
        """The name with its schema."""
        return f"{self.schema_}.{self.name}" if self.schema_ else self.name

    @property
    def place(self) -> str:
        """What is read, for messages."""
        return f"the table {self.full_name}"

    @property
    def connections(self) -> tuple[str, ...]:
        """The variables that it needs, by their names in `Connections`."""
        return ("crm_url",)

    def misnamed(self, what: str, setting: str) -> CrmConfigurationError:
        """Return the error that says what the table has, and which of these settings to correct."""
        return CrmConfigurationError(
            f"the CRM table {self.full_name} has {what}: correct crm.table.{setting} in contact_sync.yaml"
        )


@dataclass(frozen=True)
class Layout:
    """The table as the database has it."""

    table: sa.TableClause
    id: Column
    modified_at: Column
    timestamps: StoredTimestamps
    columns: Sequence[Column]
    """What a page selects: modified_at, id, deleted and merged_into where the settings name them, the fields."""
    keys: Sequence[Column]
    """The first of them, without the fields."""
    unlisted: Sequence[Column]
    """The columns that neither the settings nor the registry name."""


def find_table(database: Database, table: SqlTable, fields: Sequence[str]) -> Layout:
    """Return the layout of `table` after checking that every column exists.

    Raises:
        CrmConfigurationError: The table or a column is missing, or modified_at is no date or time.
        CrmUnavailableError: The database cannot be reached.
    """
    types = database.columns(table.name, table.schema_)
    if types is None:
        raise CrmConfigurationError(
            f"the CRM database has no table {table.full_name}: correct crm.table.name or crm.table.schema in "
            "contact_sync.yaml"
        )
    _check_columns(types, table, fields)
    timestamps = _timestamps(database, types[table.modified_at], table)
    modified_at: Column = sa.column(table.modified_at, timestamps.type_)
    # Columns without a type come as the driver gives them; only keys that are compared again need theirs, and
    # SQLite keeps values of any type under any declaration.
    row_id: Column = sa.column(table.id, None if database.dialect == "sqlite" else types[table.id])
    named = [name for name in (table.deleted, table.merged_into) if name]
    keys: list[Column] = [modified_at, row_id, *map(sa.column, named)]
    known = {table.modified_at, table.id, *named, *fields}
    return Layout(
        table=sa.table(table.name, schema=table.schema_),
        id=row_id,
        modified_at=modified_at,
        timestamps=timestamps,
        columns=[*keys, *map(sa.column, fields)],
        keys=keys,
        unlisted=[sa.column(name) for name in types if name not in known],
    )


def _check_columns(types: Mapping[str, TypeEngine[object]], table: SqlTable, fields: Sequence[str]) -> None:
    for key in _KEYS:
        column = getattr(table, key)
        if column is not None and column not in types:
            raise table.misnamed(f"no column {column}", key)
    for field in fields:
        if field not in types:
            raise CrmConfigurationError(
                f"the CRM table {table.full_name} has no column {field}, which the field registry lists: "
                "correct the registry"
            )


def _timestamps(database: Database, type_: TypeEngine[object], table: SqlTable) -> StoredTimestamps:
    timestamps = stored_timestamps(database.dialect, type_, table.zone)
    if timestamps is None:
        raise table.misnamed(
            f"a column {table.modified_at} that is neither date nor timestamp (a view can cast it)",
            "modified_at",
        )
    return timestamps
