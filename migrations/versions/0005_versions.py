"""Versions, the consents they rest on, and where they stand. Owner: registry.versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATUSES = ("submitted", "in-review", "approved", "rejected", "suspended", "superseded", "revoked")
FINAL = ("rejected", "superseded", "revoked")

_MOMENT = sa.DateTime(timezone=True)
_REFUSE_RETURN = f"""
CREATE FUNCTION refuse_return_of_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (NEW.concept_id, NEW.number) <> (OLD.concept_id, OLD.number) THEN
        RAISE EXCEPTION 'the state of version %@% is never removed', OLD.concept_id, OLD.number
            USING ERRCODE = '23001';
    END IF;
    IF OLD.status IN {FINAL} THEN
        RAISE EXCEPTION 'version %@% is %, and that is final', OLD.concept_id, OLD.number, OLD.status
            USING ERRCODE = '23001';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    _create_versions()
    _create_consents()
    _create_states()


def downgrade() -> None:
    for table in ("version_states", "version_consents", "concept_versions"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_return_of_version()")


def _create_versions() -> None:
    op.create_table(
        "concept_versions",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("manifest_digest", sa.String(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("attestation", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("trainer_of_record", sa.String(), nullable=False),
        sa.Column("approvals_required", sa.Integer(), nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        sa.Column("submitted_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_concept_versions"),
        sa.ForeignKeyConstraint(["concept_id"], ["concepts.id"], name="fk_concept_versions_concept_id"),
        sa.UniqueConstraint("manifest_digest", name="uq_concept_versions_manifest_digest"),
        sa.UniqueConstraint(
            "concept_id",
            "number",
            "owner",
            "trainer_of_record",
            name="uq_concept_versions_concept_id_number_owner_trainer_of_record",
        ),
        sa.CheckConstraint("number >= 1", name="ck_concept_versions_number"),
        sa.CheckConstraint("approvals_required >= 1", name="ck_concept_versions_approvals_required"),
        sa.CheckConstraint(
            "manifest_digest = 'sha256:' || encode(sha256(manifest), 'hex')",
            name="ck_concept_versions_digest_is_of_manifest",
        ),
    )
    forbid_changes("concept_versions")


def _create_consents() -> None:
    op.create_table(
        "version_consents",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("consent_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "consent_id", name="pk_version_consents"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_version_consents_concept_id_number",
        ),
        sa.ForeignKeyConstraint(["consent_id"], ["consents.id"], name="fk_version_consents_consent_id"),
    )
    op.create_index("ix_version_consents_consent_id", "version_consents", ["consent_id"])
    forbid_changes("version_consents")


def _create_states() -> None:
    op.create_table(
        "version_states",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_version_states"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_version_states_concept_id_number",
        ),
        sa.CheckConstraint(f"status IN {STATUSES}", name="ck_version_states_status"),
        sa.CheckConstraint("approvals >= 0", name="ck_version_states_approvals"),
    )
    op.create_index(
        "uq_version_states_one_approved",
        "version_states",
        ["concept_id"],
        unique=True,
        postgresql_where=sa.text("status = 'approved'"),
    )
    op.execute(_REFUSE_RETURN)
    op.execute(
        "CREATE TRIGGER no_return BEFORE UPDATE OR DELETE ON version_states "
        "FOR EACH ROW EXECUTE FUNCTION refuse_return_of_version()"
    )
