"""The log: entries and node hashes. Owner: registry.log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_REFUSE_GAP = """
CREATE FUNCTION refuse_gap_in_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.leaf_index > 0 AND NOT EXISTS (SELECT 1 FROM log_entries WHERE leaf_index = NEW.leaf_index - 1) THEN
        RAISE EXCEPTION 'entry % of the log has no predecessor', NEW.leaf_index USING ERRCODE = '23514';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "log_entries",
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name="pk_log_entries"),
        sa.CheckConstraint("leaf_index >= 0", name="ck_log_entries_leaf_index"),
        sa.CheckConstraint("octet_length(content) BETWEEN 1 AND 65535", name="ck_log_entries_content"),
    )
    for column in ("event", "actor", "subject"):
        op.create_index(f"ix_log_entries_tenant_{column}", "log_entries", ["tenant", column, "leaf_index"])
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("node_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "node_index", name="pk_log_nodes"),
        sa.CheckConstraint("octet_length(hash) = 32", name="ck_log_nodes_hash"),
        sa.CheckConstraint("level BETWEEN 0 AND 62 AND node_index >= 0", name="ck_log_nodes_place"),
    )
    op.execute(_REFUSE_GAP)
    op.execute("CREATE TRIGGER no_gap BEFORE INSERT ON log_entries FOR EACH ROW EXECUTE FUNCTION refuse_gap_in_log()")
    forbid_changes("log_entries")
    forbid_changes("log_nodes")


def downgrade() -> None:
    op.drop_table("log_nodes")
    op.drop_table("log_entries")
    op.execute("DROP FUNCTION refuse_gap_in_log()")
