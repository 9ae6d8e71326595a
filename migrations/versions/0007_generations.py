"""Generations, permitted and refused, their results, and released artefacts. Owner: registry.generations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

EFFECTS = ("permit", "deny")

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_generations()
    _create_versions()
    _create_results()
    _create_releases()


def downgrade() -> None:
    for table in ("artefact_releases", "generation_results", "generation_versions", "generations"):
        op.drop_table(table)


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("application", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("effect", sa.String(), nullable=False),
        sa.Column("intent", sa.LargeBinary(), nullable=False),
        sa.Column("context", sa.LargeBinary(), nullable=False),
        sa.Column("decision", sa.LargeBinary(), nullable=False),
        sa.Column("decided_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
        sa.CheckConstraint(f"effect IN {EFFECTS}", name="ck_generations_effect"),
        sa.CheckConstraint(
            "(effect = 'permit') = (expires_at IS NOT NULL)", name="ck_generations_only_a_permit_expires"
        ),
    )
    op.create_index(
        "uq_generations_application_idempotency_key",
        "generations",
        ["application", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("effect = 'permit'"),
    )
    op.create_index("ix_generations_tenant_log_index", "generations", ["tenant", "log_index"])
    forbid_changes("generations")


def _create_versions() -> None:
    op.create_table(
        "generation_versions",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "position", name="pk_generation_versions"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_generation_versions_generation_id"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_generation_versions_concept_id_number",
        ),
    )
    op.create_index("ix_generation_versions_concept_id", "generation_versions", ["concept_id"])
    forbid_changes("generation_versions")


def _create_results() -> None:
    op.create_table(
        "generation_results",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", name="pk_generation_results"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_generation_results_generation_id"),
        sa.CheckConstraint(
            "digest = 'sha256:' || encode(sha256(content), 'hex')", name="ck_generation_results_digest_is_of_content"
        ),
    )
    forbid_changes("generation_results")


def _create_releases() -> None:
    op.create_table(
        "artefact_releases",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("released_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "digest", name="pk_artefact_releases"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_artefact_releases_generation_id"),
    )
    forbid_changes("artefact_releases")
