"""Idempotency keys, kept for a day. Owner: registry.idempotency."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.tenancy import APP_ROLE, TENANT_COLUMN, isolate

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_idempotency_keys"),
    )
    isolate("idempotency_keys", TENANT_COLUMN)
    op.execute(f"GRANT DELETE ON idempotency_keys TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("idempotency_keys")
