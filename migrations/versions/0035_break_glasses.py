"""Versions that two people opened for a while before their approval. Owner: registry.versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import OF_CONCEPT, isolate

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OF_WORK = ["concept_id", "number", "owner", "trainer_of_record"]
_ASKED = ["concept_id", "number", "requested_by"]
_WORK = "(owner, trainer_of_record, requested_by)"


def upgrade() -> None:
    op.create_table(
        "break_glasses",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_signer", sa.String(), nullable=False),
        sa.Column("second_signer", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("trainer_of_record", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("envelope_digest", sa.String(), nullable=False),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_break_glasses"),
        sa.ForeignKeyConstraint(
            _OF_WORK,
            [f"concept_versions.{column}" for column in _OF_WORK],
            name="fk_break_glasses_concept_id_number_owner_trainer_of_record",
        ),
        sa.ForeignKeyConstraint(
            _ASKED,
            [f"review_requests.{column}" for column in _ASKED],
            name="fk_break_glasses_concept_id_number_requested_by",
        ),
        sa.CheckConstraint("first_signer <> second_signer", name="ck_break_glasses_two_people"),
        sa.CheckConstraint("opened_by IN (first_signer, second_signer)", name="ck_break_glasses_opened_by_a_signer"),
        sa.CheckConstraint(
            f"first_signer NOT IN {_WORK} OR second_signer NOT IN {_WORK}",
            name="ck_break_glasses_separation_of_duties",
        ),
        sa.CheckConstraint(
            "expires_at > opened_at AND expires_at <= opened_at + interval '72 hours'",
            name="ck_break_glasses_not_for_long",
        ),
    )
    forbid_changes("break_glasses")
    isolate("break_glasses", OF_CONCEPT)


def downgrade() -> None:
    op.drop_table("break_glasses")
