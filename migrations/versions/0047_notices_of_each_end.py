"""An application is told of each end of a version, and acknowledges each: what was suspended, came back and ended again is
another end. Owner: registry.recalls."""

from __future__ import annotations

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_TABLES = ("notices_sent", "notice_acknowledgements")
_ONCE = ("application", "concept_id", "number")


def upgrade() -> None:
    for table in _TABLES:
        _key(table, (*_ONCE, "log_index"))


def downgrade() -> None:
    for table in _TABLES:  # with several ends of one version it cannot be gone back; nothing is lost then
        _key(table, _ONCE)


def _key(table: str, columns: tuple[str, ...]) -> None:
    op.drop_constraint(f"pk_{table}", table, type_="primary")
    op.create_primary_key(f"pk_{table}", table, list(columns))
