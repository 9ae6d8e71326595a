"""What happens to consents after they were given: asked anew, confirmed, refused. Owner: registry.consent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import isolate, of_parent

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consent_events",
        sa.Column("consent_id", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("expressed_on", sa.Date(), nullable=True),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consent_id", "place", name="pk_consent_events"),
        sa.ForeignKeyConstraint(["consent_id"], ["consents.id"], name="fk_consent_events_consent_id"),
        sa.CheckConstraint("place >= 1", name="ck_consent_events_place"),
        sa.CheckConstraint("event IN ('ask', 're-confirm', 'refuse')", name="ck_consent_events_event"),
        sa.CheckConstraint(
            "event = 'ask' OR (content IS NOT NULL AND expressed_on IS NOT NULL)", name="ck_consent_events_answer"
        ),
    )
    forbid_changes("consent_events")
    isolate("consent_events", of_parent("consents", "consent_id"))


def downgrade() -> None:
    op.drop_table("consent_events")
