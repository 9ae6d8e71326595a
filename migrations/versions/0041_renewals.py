"""Other terms for versions that are approved: renewals, their reviews, and from when on they hold. Owner: registry.versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import OF_CONCEPT, isolate

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_VERSION = ["concept_id", "number"]
_ROUND = [*_VERSION, "round"]
_ASKED = [*_ROUND, "requested_by"]
_OF_WORK = [*_VERSION, "owner", "trainer_of_record"]
_REFUSE_TOO_FEW = """
CREATE FUNCTION refuse_renewal_below_threshold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given integer;
    rejected integer;
    needed integer;
BEGIN
    SELECT count(*) FILTER (WHERE verdict = 'approve'), count(*) FILTER (WHERE verdict = 'reject') INTO given, rejected
    FROM renewal_reviews WHERE concept_id = NEW.concept_id AND number = NEW.number AND round = NEW.round;
    SELECT approvals_required INTO needed FROM renewals
    WHERE concept_id = NEW.concept_id AND number = NEW.number AND round = NEW.round;
    IF given < needed OR rejected > 0 THEN
        RAISE EXCEPTION 'renewal % of %@% has % of % approvals and % rejections, so it does not hold',
            NEW.round, NEW.concept_id, NEW.number, given, needed, rejected USING ERRCODE = '23514';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "renewals",
        *_round_columns(),
        sa.Column("consents", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("licences", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("approvals_required", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_ROUND, name="pk_renewals"),
        sa.UniqueConstraint(*_ASKED, name="uq_renewals_concept_id_number_round_requested_by"),
        _references("renewals", _VERSION, "concept_versions"),
        sa.CheckConstraint("round >= 1", name="ck_renewals_round"),
        sa.CheckConstraint("approvals_required >= 1", name="ck_renewals_approvals_required"),
        sa.CheckConstraint(
            "cardinality(consents) >= 1 AND cardinality(licences) >= 1",
            name="ck_renewals_records",
        ),
    )
    op.create_table(
        "renewal_reviews",
        *_round_columns(),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("trainer_of_record", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("envelope_digest", sa.String(), nullable=False),
        sa.Column("reviewed_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_ROUND, "reviewer", name="pk_renewal_reviews"),
        _references("renewal_reviews", _OF_WORK, "concept_versions"),
        _references("renewal_reviews", _ASKED, "renewals"),
        sa.CheckConstraint("verdict IN ('approve', 'reject')", name="ck_renewal_reviews_verdict"),
        sa.CheckConstraint(
            "verdict <> 'approve' OR reviewer NOT IN (owner, trainer_of_record, requested_by)",
            name="ck_renewal_reviews_separation_of_duties",
        ),
    )
    op.create_table(
        "renewed_terms",
        *_round_columns(),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("renewed_by", sa.String(), nullable=False),
        sa.Column("renewed_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_ROUND, name="pk_renewed_terms"),
        _references("renewed_terms", _ROUND, "renewals"),
    )
    for table in ("renewals", "renewal_reviews", "renewed_terms"):
        forbid_changes(table)
        isolate(table, OF_CONCEPT)
    op.execute(_REFUSE_TOO_FEW)
    op.execute(
        "CREATE CONSTRAINT TRIGGER threshold AFTER INSERT ON renewed_terms DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse_renewal_below_threshold()"
    )


def downgrade() -> None:
    for table in ("renewed_terms", "renewal_reviews", "renewals"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_renewal_below_threshold()")


def _round_columns() -> tuple[sa.Column[str], sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
    )


def _references(table: str, columns: list[str], parent: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{'_'.join(columns)}"
    return sa.ForeignKeyConstraint(columns, [f"{parent}.{column}" for column in columns], name=name)
