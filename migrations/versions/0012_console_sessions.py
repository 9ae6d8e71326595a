"""Signed-in browsers of the console. Owner: registry.console.

Not isolated by tenant: a session says which credential, and so which tenant, is calling.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "console_sessions",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("credential", sa.String(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_console_sessions"),
        sa.ForeignKeyConstraint(["credential"], ["credentials.digest"], name="fk_console_sessions_credential"),
        sa.CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", name="ck_console_sessions_digest"),
        sa.CheckConstraint("expires_at > opened_at", name="ck_console_sessions_term"),
    )


def downgrade() -> None:
    op.drop_table("console_sessions")
