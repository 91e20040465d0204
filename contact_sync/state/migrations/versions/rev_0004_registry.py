"""What the registry needs: the organisations of accounts, and the shape of fields that it does not list."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "external_organization",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=255), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint("source", "account", name=op.f("pk_external_organization")),
        comment="An account of a CRM, and the organisation in Genesys that it became.",
    )
    op.create_index("ix_external_organization_organization", "external_organization", ["organization"])
    op.add_column("unmapped_field", sa.Column("shape", sa.String(length=255), nullable=True))
