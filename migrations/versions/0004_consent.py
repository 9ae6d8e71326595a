"""Consents, their withdrawals, licences. Owner: registry.consent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_records("consents")
    op.create_table(
        "consent_withdrawals",
        sa.Column("consent_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("withdrawn_by", sa.String(), nullable=False),
        sa.Column("withdrawn_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consent_id", name="pk_consent_withdrawals"),
        sa.ForeignKeyConstraint(["consent_id"], ["consents.id"], name="fk_consent_withdrawals_consent_id"),
    )
    forbid_changes("consent_withdrawals")
    _create_records("licences")


def downgrade() -> None:
    for table in ("licences", "consent_withdrawals", "consents"):
        op.drop_table(table)


def _create_records(table: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("tenant", "digest", name=f"uq_{table}_tenant_digest"),
        sa.CheckConstraint(
            "digest = 'sha256:' || encode(sha256(content), 'hex')", name=f"ck_{table}_digest_is_of_content"
        ),
    )
    forbid_changes(table)
