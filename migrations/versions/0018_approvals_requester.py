"""Whoever asked for a review cannot approve, and no version is approved below its threshold. Owner: registry.approvals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import allow_changes, forbid_changes

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_DUTIES = "ck_reviews_separation_of_duties"
_REQUEST = "fk_reviews_concept_id_number_requested_by"
_ASKED = ["concept_id", "number", "requested_by"]
_TAKE_OVER = """
UPDATE reviews SET requested_by = review_requests.requested_by FROM review_requests
WHERE (review_requests.concept_id, review_requests.number) = (reviews.concept_id, reviews.number)
"""
_REFUSE_TOO_FEW = """
CREATE FUNCTION refuse_approval_below_threshold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given integer;
    needed integer;
BEGIN
    SELECT count(*) INTO given FROM reviews
    WHERE concept_id = NEW.concept_id AND number = NEW.number AND verdict = 'approve';
    SELECT approvals_required INTO needed FROM concept_versions
    WHERE concept_id = NEW.concept_id AND number = NEW.number;
    IF given < needed THEN
        RAISE EXCEPTION 'version %@% has % of % approvals, so it is not approved',
            NEW.concept_id, NEW.number, given, needed USING ERRCODE = '23514';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    allow_changes("reviews")
    op.add_column("reviews", sa.Column("requested_by", sa.String(), nullable=True))
    op.execute(_TAKE_OVER)
    op.alter_column("reviews", "requested_by", nullable=False)
    forbid_changes("reviews")
    op.create_foreign_key(_REQUEST, "reviews", "review_requests", _ASKED, _ASKED)
    op.drop_constraint(_DUTIES, "reviews")
    op.create_check_constraint(
        _DUTIES, "reviews", "verdict <> 'approve' OR reviewer NOT IN (owner, trainer_of_record, requested_by)"
    )
    op.execute(_REFUSE_TOO_FEW)
    op.execute(
        "CREATE CONSTRAINT TRIGGER threshold AFTER INSERT OR UPDATE ON version_states DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.status = 'approved') EXECUTE FUNCTION refuse_approval_below_threshold()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER threshold ON version_states")
    op.execute("DROP FUNCTION refuse_approval_below_threshold()")
    op.drop_constraint(_DUTIES, "reviews")
    op.create_check_constraint(
        _DUTIES, "reviews", "verdict <> 'approve' OR (reviewer <> owner AND reviewer <> trainer_of_record)"
    )
    op.drop_constraint(_REQUEST, "reviews")
    op.drop_column("reviews", "requested_by")
