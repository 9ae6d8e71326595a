"""Credentials, and which tenant holds which blob. Owner: registry.auth, registry.blobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.insert_only import create_refusal, drop_refusal, forbid_changes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_refusal()
    op.create_table(
        "credentials",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.Column("last_used_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_credentials"),
        sa.CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", name="ck_credentials_digest"),
        sa.CheckConstraint("cardinality(roles) > 0", name="ck_credentials_has_a_role"),
        sa.CheckConstraint("expires_at > issued_at", name="ck_credentials_term"),
    )
    op.create_index("ix_credentials_principal", "credentials", ["principal"])
    op.create_table(
        "blob_holders",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("put_by", sa.String(), nullable=False),
        sa.Column("put_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", "tenant", name="pk_blob_holders"),
        sa.CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", name="ck_blob_holders_digest"),
    )
    forbid_changes("blob_holders")


def downgrade() -> None:
    op.drop_table("blob_holders")
    op.drop_table("credentials")
    drop_refusal()
