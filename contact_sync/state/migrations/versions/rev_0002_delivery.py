"""What delivery needs to be reliable: the governor's meter, the region that was found, what is under way."""

import sqlalchemy as sa
from alembic import op

from contact_sync.state.tables import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the budget's row a meter; it is worth a minute and starts anew."""
    op.drop_table("budget")
    op.create_table(
        "budget",
        sa.Column("client", sa.String(length=255), nullable=False),
        sa.Column("tickets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("level", sa.Float(), server_default="0", nullable=False),
        sa.Column("at", sa.Float(), server_default="0", nullable=False),
        sa.Column("rate", sa.Float(), server_default="0", nullable=False),
        sa.Column("closed_until", sa.Float(), server_default="0", nullable=False),
        sa.Column("ends_from", sa.Float(), server_default="0", nullable=False),
        sa.Column("ends_by", sa.Float(), server_default="0", nullable=False),
        sa.Column("turns_by", sa.Float(), server_default="0", nullable=False),
        sa.Column("allowed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counted_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("counted_ticket", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_ticket", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("others", sa.Float(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("client", name=op.f("pk_budget")),
        comment="The shared pace of one OAuth client, and what Genesys last said of its budget: `governor.Meter`.",
    )
    op.create_table(
        "home_region",
        sa.Column("client", sa.String(length=255), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("found_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("client", name=op.f("pk_home_region")),
        comment="The region that was found to know an OAuth client, and its organisation there.",
    )
    op.create_table(
        "in_flight",
        sa.Column("contact", sa.String(length=264), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("crm_id", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("business_key", sa.String(length=255), nullable=True),
        sa.Column("modified_at", UtcDateTime, nullable=False),
        sa.Column("read_at", UtcDateTime, nullable=False),
        sa.Column("account", sa.String(length=255), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("contact", "source", "crm_id", "version", name=op.f("pk_in_flight")),
        comment="A record as a request carries it whose answer is not known: under way, lost, or its sender died.",
    )
    op.add_column("audit", sa.Column("reason", sa.String(length=255), nullable=True))
    if op.get_bind().dialect.supports_comments:  # SQLite has none
        op.create_table_comment(
            "retry_queue",
            "A change not delivered yet: waiting for another attempt, deferred by its grace period, or dead.",
        )
