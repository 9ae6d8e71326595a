"""Drafts, who asked for which review, and the transition table as the database's own rule. Owner: registry.versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import allow_changes, forbid_changes
from migrations.tenancy import OF_CONCEPT, isolate

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BEFORE = ("submitted", "in-review", "approved", "rejected", "suspended", "superseded", "revoked")
STATUSES = ("draft", *BEFORE)
FINAL = ("rejected", "superseded", "revoked")
STEPS = (
    ("draft", "submitted"),
    ("submitted", "in-review"),
    ("submitted", "approved"),
    ("submitted", "rejected"),
    ("in-review", "in-review"),
    ("in-review", "approved"),
    ("in-review", "rejected"),
    ("approved", "superseded"),
    ("approved", "suspended"),
    ("approved", "revoked"),
    ("suspended", "approved"),
    ("suspended", "revoked"),
)

_STEPS = ", ".join(f"('{before}', '{after}')" for before, after in STEPS)
_REFUSE_STEP = f"""
CREATE FUNCTION refuse_step_of_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN ({_STEPS}) THEN
        RAISE EXCEPTION 'version %@% does not go from % to %', OLD.concept_id, OLD.number, OLD.status, NEW.status
            USING ERRCODE = '23001';
    END IF;
    RETURN NEW;
END
$$
"""
_TAKE_OVER = """
INSERT INTO review_requests (concept_id, number, requested_by, requested_at, log_index)
SELECT concept_id, number, trainer_of_record, submitted_at, log_index FROM concept_versions
"""


def upgrade() -> None:
    for table in ("version_states", "version_statuses"):
        _constrain(table, STATUSES)
    op.execute(_REFUSE_STEP)
    op.execute(
        "CREATE TRIGGER step BEFORE UPDATE ON version_states FOR EACH ROW EXECUTE FUNCTION refuse_step_of_version()"
    )
    _create_requests()


def downgrade() -> None:
    op.drop_table("review_requests")
    op.execute("DROP TRIGGER step ON version_states")
    op.execute("DROP FUNCTION refuse_step_of_version()")
    op.execute("ALTER TABLE version_states DISABLE TRIGGER record_status")
    allow_changes("version_statuses")
    for table in ("version_states", "version_statuses"):  # what came before knows no drafts: they wait for review
        op.execute(f"UPDATE {table} SET status = 'submitted' WHERE status = 'draft'")  # noqa: S608
        _constrain(table, BEFORE)
    forbid_changes("version_statuses")
    op.execute("ALTER TABLE version_states ENABLE TRIGGER record_status")


def _constrain(table: str, statuses: tuple[str, ...]) -> None:
    op.drop_constraint(f"ck_{table}_status", table)
    op.create_check_constraint(f"ck_{table}_status", table, f"status IN {statuses}")


def _create_requests() -> None:
    op.create_table(
        "review_requests",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_review_requests"),
        sa.UniqueConstraint(
            "concept_id", "number", "requested_by", name="uq_review_requests_concept_id_number_requested_by"
        ),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_review_requests_concept_id_number",
        ),
    )
    op.execute(_TAKE_OVER)
    forbid_changes("review_requests")
    isolate("review_requests", OF_CONCEPT)
