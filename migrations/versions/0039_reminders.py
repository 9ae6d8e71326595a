"""Which reminders were made of terms that end and minors who come of age. Owner: registry.reminders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reminders",
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "kind", name="pk_reminders"),
        sa.CheckConstraint("kind IN ('consent-term', 'licence-term', 'of-age')", name="ck_reminders_kind"),
    )
    forbid_changes("reminders")
    isolate("reminders", TENANT_COLUMN)


def downgrade() -> None:
    op.drop_table("reminders")
