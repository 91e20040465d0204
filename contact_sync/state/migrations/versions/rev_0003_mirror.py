"""The mirror holds every contact of Genesys, also those that we did not create, and how far its scan is."""

import sqlalchemy as sa
from alembic import op

from contact_sync.state.tables import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Widen the mirror, and remember a scan under way."""
    op.add_column("genesys_mirror", sa.Column("external_ids", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("genesys_mirror", sa.Column("organization", sa.String(length=64), nullable=True))
    op.add_column("genesys_mirror", sa.Column("adopted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "mirror_scan",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("cursor_at", UtcDateTime, nullable=True),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("contacts", sa.Integer(), nullable=False),
        sa.Column("merged", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mirror_scan")),
        comment="How far a scan of all contacts is, so that the next run goes on from there.",
    )
