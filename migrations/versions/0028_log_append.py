"""Appending to the log as one call in the database, so that the log's lock is held for one round trip. Owner: registry.log."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# RFC 6962 section 2.1: the leaf, and a parent for every pair that it completes.
_APPEND = """
CREATE FUNCTION append_to_log(
    lock bigint, content bytea, at timestamptz, event varchar, tenant varchar, actor varchar, subject varchar
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    entry bigint;
    place bigint;
    height smallint := 0;
    digest bytea := sha256('\\x00'::bytea || content);
    sibling bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(lock);
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT coalesce(max(leaf_index) + 1, 0) INTO entry FROM log_entries;  -- a statement of its own: after the wait
    place := entry;
    INSERT INTO log_entries VALUES (entry, content, at, event, tenant, actor, subject);
    INSERT INTO log_nodes VALUES (0, entry, digest);
    WHILE place & 1 = 1 LOOP
        SELECT hash INTO sibling FROM log_nodes WHERE level = height AND node_index = place - 1;
        IF sibling IS NULL THEN
            RAISE EXCEPTION 'the log lacks hash % of level %; restore it', place - 1, height USING ERRCODE = 'XX001';
        END IF;
        digest := sha256('\\x01'::bytea || sibling || digest);
        height := height + 1;
        place := place >> 1;
        INSERT INTO log_nodes VALUES (height, place, digest);
    END LOOP;
    RETURN entry;
END
$$
"""


def upgrade() -> None:
    op.execute(_APPEND)


def downgrade() -> None:
    op.execute("DROP FUNCTION append_to_log(bigint, bytea, timestamptz, varchar, varchar, varchar, varchar)")
