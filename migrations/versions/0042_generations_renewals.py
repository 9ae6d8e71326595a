"""Under which renewal of a version a generation was decided. Owner: registry.generations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generation_versions", sa.Column("renewal", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("generation_versions", "renewal")
