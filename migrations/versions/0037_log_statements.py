"""What the registry states about acts that it recorded, beside their entries. Owner: registry.log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_statements",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name="pk_log_statements"),
    )
    forbid_changes("log_statements")
    isolate("log_statements", TENANT_COLUMN)


def downgrade() -> None:
    op.drop_table("log_statements")
