"""The tables of the state database: what must survive a crash. Columns and keys belong here, and no query.

Contact data lives here and in the windowed frames, nowhere else. Every instant is UTC.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: takes aware datetimes only, stores UTC, gives aware UTC back.

    SQLite drops offsets without a word, so the conversion must not be left to the driver.

    Raises:
        ValueError: A naive datetime is bound.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC; without its offset for SQLite, which has no type for it."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "an instant in the state database needs a timezone"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Return the stored instant as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"},
)

WINDOW_LEDGER = Table(
    "window_ledger",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("window_start", UtcDateTime, primary_key=True),
    Column("window_end", UtcDateTime, primary_key=True),
    Column("rows_read", Integer, nullable=False),
    Column("outcomes", JSON, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("writes", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("newest_modified_at", UtcDateTime),
    Column("run_id", String(64), nullable=False),
    Column("committed_at", UtcDateTime, nullable=False),
    Column("reopened_at", UtcDateTime),
    Column("reopened_because", String(255)),
    Column("moved_by", Integer, nullable=False, server_default="0"),
    Column("unexplained", Integer, nullable=False, server_default="0"),
    comment="A window of a source whose every row is delivered or durably queued.",
)

LATE_ROWS = Table(
    "late_rows",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("window_start", UtcDateTime, primary_key=True),
    Column("window_end", UtcDateTime, primary_key=True),
    Column("noted_at", UtcDateTime, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    comment="Rows that a window found and that had not been there when their time was read, and how late.",
)

TOMBSTONE = Table(
    "tombstone",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("crm_id", String(255), primary_key=True),
    Column("found_at", UtcDateTime, primary_key=True),
    Index("ix_tombstone_found_at", "source", "found_at"),
    comment="A linked record that is gone from the CRM, and when that was found; its window deletes it.",
)

DELETE_FEED = Table(
    "delete_feed",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("token", Text, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    comment="Where the CRM's feed of deleted records goes on.",
)

CONTACT_LINK = Table(
    "contact_link",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("crm_id", String(255), primary_key=True),
    Column("contact", String(64)),
    Column("business_key", String(255)),
    Column("version", String(255), nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("account", String(255)),
    Column("fields", JSON, nullable=False),
    Index("ix_contact_link_contact", "contact"),
    Index("ix_contact_link_business_key", "business_key"),
    comment="A CRM record and the Genesys contact that it became; without a contact it is a tombstone.",
)

IN_FLIGHT = Table(
    "in_flight",
    METADATA,
    Column("contact", String(264), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("crm_id", String(255), primary_key=True),
    Column("version", String(255), primary_key=True),
    Column("business_key", String(255)),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("account", String(255)),
    Column("fields", JSON, nullable=False),
    comment="A record as a request carries it whose answer is not known: under way, lost, or its sender died.",
)

GENESYS_MIRROR = Table(
    "genesys_mirror",
    METADATA,
    Column("contact", String(64), primary_key=True),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("external_ids", JSON, nullable=False, server_default="[]"),
    Column("organization", String(64)),
    Column("adopted", Boolean, nullable=False, server_default=false()),
    comment="A Genesys contact as last seen.",
)

MIRROR_SCAN = Table(
    "mirror_scan",
    METADATA,
    Column("name", String(16), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("cursor", Text),
    Column("cursor_at", UtcDateTime),
    Column("pages", Integer, nullable=False),
    Column("contacts", Integer, nullable=False),
    Column("merged", Integer, nullable=False),
    comment="How far a scan of all contacts is, so that the next run goes on from there.",
)

MIRROR_IDENTIFIER = Table(
    "mirror_identifier",
    METADATA,
    Column("contact", String(64), primary_key=True),
    Column("rule", String(16), primary_key=True),
    Column("value", String(320), primary_key=True),
    Index("ix_mirror_identifier_value", "value", "rule"),
    comment="What a contact can be recognised by: an e-mail, an E.164 number, a hash of name and account.",
)

RETRY_QUEUE = Table(
    "retry_queue",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("crm_id", String(255), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("version", String(255), nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("change", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("last_error", String(255), nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Index("ix_retry_queue_state", "state", "next_attempt_at"),
    comment="A change not delivered yet: waiting for another attempt, deferred by its grace period, or dead.",
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("crm_id", String(255), nullable=False),
    Column("contact", String(64)),
    Column("action", String(16), nullable=False),
    Column("rule", String(32)),
    Column("changes", JSON),
    Column("result", String(16), nullable=False),
    Column("status", Integer),
    Column("correlation_id", String(64)),
    Column("reason", String(255)),
    Index("ix_audit_crm_id", "source", "crm_id"),
    Index("ix_audit_contact", "contact"),
    comment="Every write: who, when, in which window and run, what was before and after, and how it ended.",
)

UNMAPPED_FIELD = Table(
    "unmapped_field",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("field", String(255), primary_key=True),
    Column("window_start", UtcDateTime, primary_key=True),
    Column("window_end", UtcDateTime, primary_key=True),
    Column("records", Integer, nullable=False),
    Column("shape", String(255)),
    comment="A CRM field that the registry does not list, and the records of a window that carry it.",
)

EXTERNAL_ORGANIZATION = Table(
    "external_organization",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("account", String(255), primary_key=True),
    Column("organization", String(64), nullable=False),
    Column("name", String(1000), nullable=False),
    Index("ix_external_organization_organization", "organization"),
    comment="An account of a CRM, and the organisation in Genesys that it became.",
)

BUDGET = Table(
    "budget",
    METADATA,
    Column("client", String(255), primary_key=True),
    Column("tickets", BigInteger, nullable=False, server_default="0"),
    Column("level", Float, nullable=False, server_default="0"),
    Column("at", Float, nullable=False, server_default="0"),
    Column("rate", Float, nullable=False, server_default="0"),
    Column("closed_until", Float, nullable=False, server_default="0"),
    Column("ends_from", Float, nullable=False, server_default="0"),
    Column("ends_by", Float, nullable=False, server_default="0"),
    Column("turns_by", Float, nullable=False, server_default="0"),
    Column("allowed", Integer, nullable=False, server_default="0"),
    Column("count", Integer, nullable=False, server_default="0"),
    Column("counted_at", Float, nullable=False, server_default="0"),
    Column("counted_ticket", BigInteger, nullable=False, server_default="0"),
    Column("first_ticket", BigInteger, nullable=False, server_default="0"),
    Column("others", Float, nullable=False, server_default="0"),
    comment="The shared pace of one OAuth client, and what Genesys last said of its budget: `governor.Meter`.",
)

HOME_REGION = Table(
    "home_region",
    METADATA,
    Column("client", String(255), primary_key=True),
    Column("region", String(64), nullable=False),
    Column("organization", String(64), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    comment="The region that was found to know an OAuth client, and its organisation there.",
)
