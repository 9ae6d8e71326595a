"""Signed status lists, and versions by the log entry of their submission. Owner: registry.status."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.tenancy import TENANT_COLUMN, isolate

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "status_lists",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("bits", sa.String(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number", name="pk_status_lists"),
        sa.CheckConstraint("number >= 0", name="ck_status_lists_number"),
    )
    isolate("status_lists", TENANT_COLUMN)
    op.create_index("ix_concept_versions_tenant_log_index", "concept_versions", ["tenant", "log_index"])


def downgrade() -> None:
    op.drop_index("ix_concept_versions_tenant_log_index", "concept_versions")
    op.drop_table("status_lists")
