"""Fingerprints of crops are found by an equal part. Owner: registry.generations.

`near_fingerprints` asks the index for each of sixteen parts and its 16 neighbours, and misses nothing. A picture that was
not found whole is asked about in 80 crops; `near_by_part` asks for the sixteen parts alone, a seventeenth of the work.
It runs as the tables' owner and names the tenant itself, as `near_fingerprints` does (0032).
"""

from __future__ import annotations

from typing import Final

from alembic import op

from migrations.tenancy import APP_ROLE, TENANT_COLUMN

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_MAKE: Final = f"""
CREATE FUNCTION near_by_part(asked bit[], near integer)
RETURNS TABLE (generation_id varchar, "position" integer, distance integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT held.generation_id, held."position", bit_count(held.bits # one)::integer
    FROM unnest(asked) AS one
    JOIN image_fingerprints AS held ON fingerprint_parts(held.bits) && fingerprint_parts(one)
    WHERE near < 32 AND held.{TENANT_COLUMN} AND bit_count(held.bits # one) <= near
$$
"""  # noqa: S608 - names of the migrations only


def upgrade() -> None:
    op.execute(_MAKE)
    op.execute("REVOKE ALL ON FUNCTION near_by_part FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION near_by_part TO {APP_ROLE}")


def downgrade() -> None:
    op.execute("DROP FUNCTION near_by_part")
