"""Concepts. Owner: registry.concepts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = ("subject", "person", "character", "product", "logo", "style", "background")


def upgrade() -> None:
    op.create_table(
        "concepts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_concepts"),
        sa.CheckConstraint(f"kind IN {KINDS}", name="ck_concepts_kind"),
        sa.CheckConstraint("split_part(id, '/', 1) = tenant", name="ck_concepts_tenant"),
    )
    op.create_index("ix_concepts_tenant", "concepts", ["tenant"])
    forbid_changes("concepts")


def downgrade() -> None:
    op.drop_table("concepts")
