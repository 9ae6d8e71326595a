"""An application is told of each end of a version, and acknowledges each: what was suspended, came back and ended again is
another end. Rows from before, and of code from before, are of no named end. Owner: registry.recalls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_TABLES = ("notices_sent", "notice_acknowledgements")
_ONCE = ("application", "concept_id", "number")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("ended_entry", sa.BigInteger(), nullable=False, server_default="-1"))
        _key(table, (*_ONCE, "ended_entry"))


def downgrade() -> None:
    for table in _TABLES:  # where a version has several ends it cannot be gone back; nothing is lost then
        _key(table, _ONCE)
        op.drop_column(table, "ended_entry")


def _key(table: str, columns: tuple[str, ...]) -> None:
    op.drop_constraint(f"pk_{table}", table, type_="primary")
    op.create_primary_key(f"pk_{table}", table, list(columns))
