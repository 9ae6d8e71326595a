"""Credentials with scopes, a label, and what replaced them. Owner: registry.auth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("credentials", sa.Column("scopes", postgresql.ARRAY(sa.String()), nullable=True))
    op.add_column("credentials", sa.Column("label", sa.String(), nullable=False, server_default=""))
    op.add_column("credentials", sa.Column("replaced_by", sa.String(), nullable=True))
    op.create_check_constraint("ck_credentials_has_a_scope", "credentials", "cardinality(scopes) > 0")
    op.create_index("ix_credentials_tenant", "credentials", [sa.text("split_part(principal, '/', 1)")])
    op.create_foreign_key(
        "fk_credentials_replaced_by", "credentials", "credentials", ["replaced_by"], ["digest"], ondelete="RESTRICT"
    )


def downgrade() -> None:
    """A narrow credential would become a wide one, so those that are narrow end."""
    op.execute("UPDATE credentials SET revoked_at = LEAST(revoked_at, now()) WHERE scopes IS NOT NULL")
    op.drop_index("ix_credentials_tenant", "credentials")
    op.drop_constraint("fk_credentials_replaced_by", "credentials")
    op.drop_constraint("ck_credentials_has_a_scope", "credentials")
    for column in ("scopes", "label", "replaced_by"):
        op.drop_column("credentials", column)
