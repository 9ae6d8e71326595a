"""Renders may show how their pictures look so far, and keep what each attended to. Owner: trainer.rendering."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("renders", sa.Column("previews", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("render_images", sa.Column("attention", sa.LargeBinary(), nullable=True))
    op.create_table(
        "render_previews",
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "position", name="pk_render_previews"),
        sa.ForeignKeyConstraint(["generation"], ["renders.generation"], name="fk_render_previews_generation"),
    )


def downgrade() -> None:
    op.drop_table("render_previews")
    op.drop_column("render_images", "attention")
    op.drop_column("renders", "previews")
