"""Uploads and artefacts sealed under data keys, and who has looked at a version's files. Owner: registry.versions.

Rows of `blob_uploads` and `version_keys` are no evidence: deleting one destroys a key, and with it what it opens.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import APP_ROLE, OF_CONCEPT, TENANT_COLUMN, isolate

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_uploads()
    _create_keys()
    _create_artefacts()
    _create_previews()
    op.execute(f"GRANT DELETE ON blob_uploads, version_keys TO {APP_ROLE}")


def downgrade() -> None:
    for table in ("version_previews", "sealed_artefacts", "version_keys", "blob_uploads"):
        op.drop_table(table)


def _create_uploads() -> None:
    op.create_table(
        "blob_uploads",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("stored", sa.String(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(), nullable=False),
        sa.Column("document", sa.Boolean(), nullable=False),
        sa.Column("put_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name="pk_blob_uploads"),
    )
    op.create_index("ix_blob_uploads_tenant_put_at", "blob_uploads", ["tenant", "put_at"])
    isolate("blob_uploads", TENANT_COLUMN)


def _create_keys() -> None:
    op.create_table(
        "version_keys",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", name="pk_version_keys"),
        _of_version("version_keys"),
    )
    isolate("version_keys", OF_CONCEPT)


def _create_artefacts() -> None:
    op.create_table(
        "sealed_artefacts",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("stored", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "name", name="pk_sealed_artefacts"),
        _of_version("sealed_artefacts"),
    )
    forbid_changes("sealed_artefacts")
    isolate("sealed_artefacts", OF_CONCEPT)


def _create_previews() -> None:
    op.create_table(
        "version_previews",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "reader", name="pk_version_previews"),
        _of_version("version_previews"),
    )
    forbid_changes("version_previews")
    isolate("version_previews", OF_CONCEPT)


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["concept_id", "number"],
        ["concept_versions.concept_id", "concept_versions.number"],
        name=f"fk_{table}_concept_id_number",
    )
