"""Reviews and revocations. Owner: registry.approvals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VERDICTS = ("approve", "reject")

_MOMENT = sa.DateTime(timezone=True)
_REVIEWED = ["concept_id", "number", "owner", "trainer_of_record"]


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("trainer_of_record", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("envelope_digest", sa.String(), nullable=False),
        sa.Column("reviewed_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "reviewer", name="pk_reviews"),
        sa.ForeignKeyConstraint(
            _REVIEWED,
            [f"concept_versions.{column}" for column in _REVIEWED],
            name="fk_reviews_concept_id_number_owner_trainer_of_record",
        ),
        sa.CheckConstraint(f"verdict IN {VERDICTS}", name="ck_reviews_verdict"),
        sa.CheckConstraint(
            "verdict <> 'approve' OR (reviewer <> owner AND reviewer <> trainer_of_record)",
            name="ck_reviews_separation_of_duties",
        ),
    )
    forbid_changes("reviews")
    op.create_table(
        "revocations",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revoked_by", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("envelope_digest", sa.String(), nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_revocations"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_revocations_concept_id_number",
        ),
    )
    forbid_changes("revocations")


def downgrade() -> None:
    for table in ("revocations", "reviews"):
        op.drop_table(table)
