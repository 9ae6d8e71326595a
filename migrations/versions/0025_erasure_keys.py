"""Erasures and the keys they destroy; records of consents are ciphertext, so their subject is a column. Owner: registry.erasure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate, of_parent

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE consents ALTER COLUMN subject DROP EXPRESSION")
    op.drop_constraint("ck_consents_digest_is_of_content", "consents")  # it is of what is sealed in the content
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("erased_by", sa.String(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_table(
        "erased_keys",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("erasure_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_erased_keys"),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name="fk_erased_keys_erasure_id"),
    )
    for table in ("erasures", "erased_keys"):
        forbid_changes(table)
    isolate("erasures", TENANT_COLUMN)
    isolate("erased_keys", of_parent("erasures", "erasure_id"))


def downgrade() -> None:
    op.drop_table("erased_keys")
    op.drop_table("erasures")
    op.drop_index("ix_consents_tenant_subject", table_name="consents")
    op.drop_column("consents", "subject")
    op.execute(
        "ALTER TABLE consents ADD COLUMN subject varchar GENERATED ALWAYS AS (subject_of_record(content)) STORED"
    )
    op.create_index("ix_consents_tenant_subject", "consents", ["tenant", "subject"])
    op.execute(
        "ALTER TABLE consents ADD CONSTRAINT ck_consents_digest_is_of_content "
        "CHECK (digest = 'sha256:' || encode(sha256(content), 'hex')) NOT VALID"
    )
