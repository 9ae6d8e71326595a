"""Cosignatures of witnesses over the log's checkpoints. Owner: registry.log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_cosignatures",
        sa.Column("tree_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(), nullable=False),
        sa.Column("cosigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tree_size", "witness", "cosigned_at", name="pk_log_cosignatures"),
    )
    forbid_changes("log_cosignatures")


def downgrade() -> None:
    op.drop_table("log_cosignatures")
