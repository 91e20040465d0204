"""The first tables of the state database."""

import sqlalchemy as sa
from alembic import op

from contact_sync.state.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("crm_id", sa.String(length=255), nullable=False),
        sa.Column("contact", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=True),
        sa.Column("changes", sa.JSON(), nullable=True),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="Every write: who, when, in which window and run, what was before and after, and how it ended.",
    )
    op.create_index("ix_audit_contact", "audit", ["contact"], unique=False)
    op.create_index("ix_audit_crm_id", "audit", ["source", "crm_id"], unique=False)
    op.create_table(
        "budget",
        sa.Column("client", sa.String(length=255), nullable=False),
        sa.Column("next_slot", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("client", name=op.f("pk_budget")),
        comment="The shared pace of one OAuth client: the moment (seconds since 1970) of the next free slot.",
    )
    op.create_table(
        "contact_link",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("crm_id", sa.String(length=255), nullable=False),
        sa.Column("contact", sa.String(length=64), nullable=True),
        sa.Column("business_key", sa.String(length=255), nullable=True),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("modified_at", UtcDateTime, nullable=False),
        sa.Column("read_at", UtcDateTime, nullable=False),
        sa.Column("account", sa.String(length=255), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "crm_id", name=op.f("pk_contact_link")),
        comment="A CRM record and the Genesys contact that it became; without a contact it is a tombstone.",
    )
    op.create_index("ix_contact_link_business_key", "contact_link", ["business_key"], unique=False)
    op.create_index("ix_contact_link_contact", "contact_link", ["contact"], unique=False)
    op.create_table(
        "genesys_mirror",
        sa.Column("contact", sa.String(length=64), nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("contact", name=op.f("pk_genesys_mirror")),
        comment="A Genesys contact as last seen.",
    )
    op.create_table(
        "mirror_identifier",
        sa.Column("contact", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("contact", "rule", "value", name=op.f("pk_mirror_identifier")),
        comment="What a contact can be recognised by: an e-mail, an E.164 number, a hash of name and account.",
    )
    op.create_index("ix_mirror_identifier_value", "mirror_identifier", ["value", "rule"], unique=False)
    op.create_table(
        "retry_queue",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("crm_id", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("modified_at", UtcDateTime, nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime, nullable=True),
        sa.Column("last_error", sa.String(length=255), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("queued_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("source", "crm_id", name=op.f("pk_retry_queue")),
        comment="A change that could not be delivered: waiting for another attempt, or dead.",
    )
    op.create_index("ix_retry_queue_state", "retry_queue", ["state", "next_attempt_at"], unique=False)
    op.create_table(
        "unmapped_field",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=255), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", "field", "window_start", "window_end", name=op.f("pk_unmapped_field")),
        comment="A CRM field that the registry does not list, and the records of a window that carry it.",
    )
    op.create_table(
        "window_ledger",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("outcomes", sa.JSON(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("writes", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("newest_modified_at", UtcDateTime, nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("committed_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("source", "window_start", "window_end", name=op.f("pk_window_ledger")),
        comment="A window of a source whose every row is delivered or durably queued.",
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "window_ledger",
        "contact_link",
        "genesys_mirror",
        "mirror_identifier",
        "retry_queue",
        "audit",
        "unmapped_field",
        "budget",
    ):
        op.drop_table(table)
