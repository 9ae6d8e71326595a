"""Evidence tables: the database itself refuses UPDATE, DELETE and TRUNCATE, whoever asks.

forbid_changes("approvals")         # in upgrade(), after create_table
allow_changes("approvals")          # in downgrade(), before drop_table; dropping the table alone does as well
"""

from __future__ import annotations

from alembic import op

FUNCTION = "refuse_change_of_evidence"
SQLSTATE = "23001"  # restrict_violation

CREATE_FUNCTION = f"""
CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are evidence: they are inserted, never changed (% refused)', TG_TABLE_NAME, TG_OP
        USING ERRCODE = '{SQLSTATE}';
END
$$
"""


def create_refusal() -> None:
    """Make the trigger function; the first migration does."""
    op.execute(CREATE_FUNCTION)


def drop_refusal() -> None:
    """Remove the trigger function."""
    op.execute(f"DROP FUNCTION {FUNCTION}()")


def forbid_changes(table: str) -> None:
    """Make `table` insert-only."""
    op.execute(
        f"CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {FUNCTION}()"
    )
    op.execute(
        f"CREATE TRIGGER insert_only_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()"
    )


def allow_changes(table: str) -> None:
    """Undo `forbid_changes`."""
    op.execute(f"DROP TRIGGER insert_only ON {table}")
    op.execute(f"DROP TRIGGER insert_only_truncate ON {table}")
