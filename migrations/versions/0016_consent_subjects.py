"""Who is, or speaks for, the person behind a pseudonym; consents by their subject. Owner: registry.consent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Immutable in truth, which PostgreSQL cannot know of convert_from: nobody redefines UTF-8. A record that a later schema
# has sealed is no JSON, and says nothing here: it is about nobody.
_SUBJECT_OF_RECORD = """
CREATE FUNCTION subject_of_record(content bytea) RETURNS varchar LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN pg_catalog.convert_from(content, 'UTF8')::pg_catalog.jsonb ->> 'subject';
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character OR invalid_text_representation THEN
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "subject_bindings",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("bound", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "pseudonym", "principal", "place", name="pk_subject_bindings"),
        sa.CheckConstraint("place >= 1", name="ck_subject_bindings_place"),
    )
    op.create_index("ix_subject_bindings_tenant_principal", "subject_bindings", ["tenant", "principal"])
    forbid_changes("subject_bindings")
    isolate("subject_bindings", TENANT_COLUMN)
    op.execute(_SUBJECT_OF_RECORD)
    op.execute(
        "ALTER TABLE consents ADD COLUMN subject varchar GENERATED ALWAYS AS (subject_of_record(content)) STORED"
    )
    op.create_index("ix_consents_tenant_subject", "consents", ["tenant", "subject"])


def downgrade() -> None:
    op.drop_index("ix_consents_tenant_subject", table_name="consents")
    op.drop_column("consents", "subject")
    op.execute("DROP FUNCTION subject_of_record(bytea)")
    op.drop_table("subject_bindings")
