"""Windows that miss nothing: reopened windows, how late commits were, and records that are gone from the CRM."""

import sqlalchemy as sa
from alembic import op

from contact_sync.state.tables import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("window_ledger", sa.Column("reopened_at", UtcDateTime, nullable=True))
    op.add_column("window_ledger", sa.Column("reopened_because", sa.String(length=255), nullable=True))
    op.add_column("window_ledger", sa.Column("moved_by", sa.Integer(), server_default="0", nullable=False))
    op.add_column("window_ledger", sa.Column("unexplained", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "late_rows",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("window_start", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("noted_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("source", "window_start", "window_end", "noted_at", name=op.f("pk_late_rows")),
        comment="Rows that a window found and that had not been there when their time was read, and how late.",
    )
    op.create_table(
        "tombstone",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("crm_id", sa.String(length=255), nullable=False),
        sa.Column("found_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("source", "crm_id", "found_at", name=op.f("pk_tombstone")),
        comment="A linked record that is gone from the CRM, and when that was found; its window deletes it.",
    )
    op.create_index("ix_tombstone_found_at", "tombstone", ["source", "found_at"])
    op.create_table(
        "delete_feed",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("read_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_delete_feed")),
        comment="Where the CRM's feed of deleted records goes on.",
    )
