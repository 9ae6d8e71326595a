"""Renders say how many of their images are drawn at once. Owner: trainer.rendering."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("renders", sa.Column("together", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("renders", "together")
