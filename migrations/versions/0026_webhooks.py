"""Webhook subscriptions and how deliveries ended. Owner: registry.webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate, of_parent

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("last_fault", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.CheckConstraint("cardinality(events) > 0", name="ck_webhooks_has_an_event"),
        sa.CheckConstraint("attempts >= 0", name="ck_webhooks_attempts"),
    )
    op.create_index("ix_webhooks_tenant", "webhooks", ["tenant"])
    isolate("webhooks", TENANT_COLUMN)
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "place", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_deliveries_webhook_id"),
        sa.CheckConstraint("outcome IN ('delivered', 'given-up')", name="ck_webhook_deliveries_outcome"),
    )
    forbid_changes("webhook_deliveries")
    isolate("webhook_deliveries", of_parent("webhooks", "webhook_id"))


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
