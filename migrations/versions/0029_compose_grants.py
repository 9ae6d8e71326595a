"""The signed grant of a permit, beside its decision. Owner: registry.generations.

Permits from before have none; what they let through has long expired.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("compose_grant", sa.LargeBinary(), nullable=True))
    op.create_check_constraint(
        op.f("ck_generations_only_a_permit_has_a_grant"),
        "generations",
        "effect = 'permit' OR compose_grant IS NULL",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_generations_only_a_permit_has_a_grant"), "generations", type_="check")
    op.drop_column("generations", "compose_grant")
