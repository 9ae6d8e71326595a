"""Notices that a version has ended: fetched, and acknowledged. Owner: registry.recalls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes
from migrations.tenancy import OF_CONCEPT, isolate

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLES = ("notices_sent", "notice_acknowledgements")


def upgrade() -> None:
    for table in _TABLES:
        op.create_table(
            table,
            sa.Column("application", sa.String(), nullable=False),
            sa.Column("concept_id", sa.String(), nullable=False),
            sa.Column("number", sa.Integer(), nullable=False),
            sa.Column("at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("log_index", sa.BigInteger(), nullable=False),
            *([sa.Column("comment", sa.String(), nullable=False)] if table == "notice_acknowledgements" else []),
            sa.PrimaryKeyConstraint("application", "concept_id", "number", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                ["concept_id", "number"],
                ["concept_versions.concept_id", "concept_versions.number"],
                name=f"fk_{table}_concept_id",
            ),
        )
        forbid_changes(table)
        isolate(table, OF_CONCEPT)


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
