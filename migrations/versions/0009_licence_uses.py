"""Images granted under licences that limit them. Owner: registry.generations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "licence_uses",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("licence_id", sa.String(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "licence_id", name="pk_licence_uses"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_licence_uses_generation_id"),
        sa.ForeignKeyConstraint(["licence_id"], ["licences.id"], name="fk_licence_uses_licence_id"),
        sa.CheckConstraint("images >= 1", name="ck_licence_uses_images"),
    )
    op.create_index("ix_licence_uses_licence_id", "licence_uses", ["licence_id"])
    forbid_changes("licence_uses")


def downgrade() -> None:
    op.drop_table("licence_uses")
