"""Which policy bundle was in force from when on. Owner: registry.policies.

Not isolated by tenant: the bundle is the registry's, and everybody who may call may read it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_bundles",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_policy_bundles"),
        sa.CheckConstraint("place >= 1", name="ck_policy_bundles_place"),
        sa.CheckConstraint(
            "digest = 'sha256:' || encode(sha256(content), 'hex')", name="ck_policy_bundles_digest_is_of_content"
        ),
    )
    forbid_changes("policy_bundles")


def downgrade() -> None:
    op.drop_table("policy_bundles")
