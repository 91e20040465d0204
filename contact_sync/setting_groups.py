"""The groups of settings: the CRM, the windows and the delivery.

What belongs here: names, types, defaults and what they mean. Reading them belongs to `settings`, what a setting
does to the room that uses it.
"""

from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contact_sync.contacts.window import Frequency
from contact_sync.crm.dynamics_settings import Dynamics
from contact_sync.crm.salesforce_settings import Salesforce
from contact_sync.crm.sql_table import SqlTable


class Crm(BaseModel):
    """Where contacts come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default="crm",
        pattern="^[a-z][a-z0-9_]{0,30}$",
        description="Names this CRM in the state database, and its external source in Genesys.",
    )
    table: SqlTable | None = Field(None, description="The table of contacts of a SQL database.")
    salesforce: Salesforce | None = Field(None, description="A Salesforce organisation.")
    dynamics: Dynamics | None = Field(None, description="A Dynamics 365 environment.")
    page_size: int = Field(default=2000, ge=1, le=50_000, description="Rows a query to the CRM returns.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(map(bool, (self.table, self.salesforce, self.dynamics))) != 1:
            raise ValueError("set exactly one of table, salesforce and dynamics")
        return self

    @property
    def kind(self) -> SqlTable | Salesforce | Dynamics:
        """What is set of table, salesforce and dynamics."""
        [kind] = (kind for kind in (self.table, self.salesforce, self.dynamics) if kind)
        return kind

    @property
    def technology(self) -> str:
        """What it is called in the Dagster UI."""
        return "sql" if self.table else "salesforce" if self.salesforce else "dynamics"


class Sync(BaseModel):
    """When windows close and how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frequency: Frequency = Field(default=Frequency.THIRTY_MINUTES, description="How long a window is.")
    start: datetime = Field(description="The start of the first window: go-live less the history to backfill.")
    settle_seconds: int = Field(
        default=120, ge=0, le=3600, description="How long a window's end must be past before the window is read."
    )
    max_settle_seconds: int = Field(
        default=600, ge=0, le=3600, description="How far this grows with the lateness of rows that is measured."
    )
    overlap_seconds: int = Field(
        default=600,
        ge=0,
        le=86_400,
        description="How far before its start a window looks for rows committed late.",
    )
    max_overlap_seconds: int = Field(
        default=10_800, ge=0, le=86_400, description="How far this grows with the lateness that is measured."
    )
    audit_hours: int = Field(
        default=48,
        ge=0,
        le=8_784,
        description="How long the audit counts committed windows again; 0 switches it off.",
    )
    reconcile_days: int = Field(
        default=1,
        ge=0,
        le=366,
        description="How often all ids of the CRM are compared with what is linked; 0: never.",
    )
    max_held_share: float = Field(
        default=0.5, gt=0, le=1, description="A window of 20 rows or more that holds a larger share of them stops."
    )

    @field_validator("start", mode="before")
    @classmethod
    def _utc_unless_said(cls, value: object) -> object:
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            msg = "write a date such as 2026-01-31 or a time such as 2026-01-31T06:00Z"
            raise ValueError(msg) from None
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)

    @property
    def settle(self) -> timedelta:
        """The settle delay."""
        return timedelta(seconds=self.settle_seconds)

    @property
    def max_settle(self) -> timedelta:
        """The longest settle delay."""
        return timedelta(seconds=max(self.settle_seconds, self.max_settle_seconds))

    @property
    def overlap(self) -> timedelta:
        """The overlap."""
        return timedelta(seconds=self.overlap_seconds)

    @property
    def max_overlap(self) -> timedelta:
        """The longest overlap."""
        return timedelta(seconds=max(self.overlap_seconds, self.max_overlap_seconds))

    @property
    def audited(self) -> timedelta:
        """How far back the audit counts."""
        return timedelta(hours=self.audit_hours)

    @property
    def first_window_start(self) -> datetime:
        """The start date, moved back to a boundary of the frequency."""
        return self.frequency.floor(self.start)


class Delivery(BaseModel):
    """How Genesys is written to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="What Genesys allows the OAuth client; its answers correct this.",
    )
    reserve: float = Field(
        default=0.1, ge=0, le=0.95, description="Share of it that is left to the client's other users at any time."
    )
    concurrency: int = Field(
        default=8, ge=1, le=100, description="Requests under way at once; they share the one pace."
    )
    max_attempts: int = Field(
        default=10, ge=1, le=100, description="After so many a change that Genesys does not take is a dead letter."
    )
    delete_grace_minutes: int = Field(
        default=60,
        ge=0,
        le=10_080,
        description="How long a delete waits, so that the same person under a new CRM id keeps the contact.",
    )
    max_deletes: int = Field(
        default=1000, ge=0, description="A window that would remove more contacts removes none: it holds them."
    )
    max_delete_share: float = Field(
        default=0.1, ge=0, le=1, description="The same, as a share of the linked contacts, from 20 deletes on."
    )

    @property
    def delete_grace(self) -> timedelta:
        """The grace period of deletes."""
        return timedelta(minutes=self.delete_grace_minutes)
