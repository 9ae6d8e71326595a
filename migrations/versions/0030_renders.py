"""Renders: what the rendering service draws for applications, until they have it. Owner: trainer.rendering.

The queue is Procrastinate's (0008). No evidence: scene and images are erased when a render ends; that a grant was used
stays.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_STATUSES = ("queued", "running", "done", "failed", "ended")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "renders",
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("image", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("queue_entry", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("generation", name="pk_renders"),
        sa.CheckConstraint(
            "status IN (" + ", ".join(f"'{status}'" for status in _STATUSES) + ")", name=op.f("ck_renders_status")
        ),
        sa.CheckConstraint("(status = 'ended') = (request IS NULL)", name=op.f("ck_renders_erased_when_ended")),
    )
    op.create_table(
        "render_images",
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "position", name="pk_render_images"),
        sa.ForeignKeyConstraint(["generation"], ["renders.generation"], name="fk_render_images_generation"),
    )


def downgrade() -> None:
    op.drop_table("render_images")
    op.drop_table("renders")
