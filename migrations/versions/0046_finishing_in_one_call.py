"""Who records a result waits for the generation and looks whether it has one, in one call in the database.
Owner: registry.generations."""

from __future__ import annotations

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

# Statements of a volatile function each see what was committed before them: a result that was waited for is seen.
_HOLD_PERMITTED = """
CREATE FUNCTION hold_permitted(wanted varchar, of_tenant varchar)
RETURNS TABLE (application varchar, intent bytea, result varchar, result_index bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM generations WHERE id = wanted AND tenant = of_tenant AND effect = 'permit' FOR NO KEY UPDATE;
    RETURN QUERY SELECT permitted.application, permitted.intent, recorded.digest, recorded.log_index
                   FROM generations AS permitted LEFT JOIN generation_results AS recorded ON generation_id = permitted.id
                  WHERE permitted.id = wanted AND permitted.tenant = of_tenant AND permitted.effect = 'permit';
END
$$
"""


def upgrade() -> None:
    op.execute(_HOLD_PERMITTED)


def downgrade() -> None:
    op.execute("DROP FUNCTION hold_permitted(varchar, varchar)")
