"""Results and named versions of generations say themselves whose they are, so that row security need not look it up.
Owner: registry.generations.

The tenant of a result is that of the application in its signed statement, which is the one that was permitted; a generation
names concepts of its own tenant only (`registry.generations.service`). Nothing else is seen than before, only faster: counting
100,000 results asked for 100,000 generations first.
"""

from __future__ import annotations

from alembic import op

from migrations.tenancy import OF_CONCEPT, TENANT_COLUMN, isolate, of_parent, share

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_TENANT_OF_RESULT = """
CREATE FUNCTION tenant_of_result(content bytea) RETURNS varchar LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.split_part(public.json_of(pg_catalog.decode(
        public.json_of(content) -> 'statement' ->> 'payload', 'base64')) -> 'predicate' ->> 'application', '/', 1)
$$
"""
_CONDITIONS = {"generation_results": TENANT_COLUMN, "generation_versions": OF_CONCEPT}


def upgrade() -> None:
    op.execute(_TENANT_OF_RESULT)
    op.execute(
        "ALTER TABLE generation_results ADD COLUMN tenant varchar GENERATED ALWAYS AS (tenant_of_result(content)) STORED"
    )
    for table, condition in _CONDITIONS.items():
        share(table)
        isolate(table, condition)


def downgrade() -> None:
    for table in _CONDITIONS:
        share(table)
        isolate(table, of_parent("generations", "generation_id"))
    op.execute("ALTER TABLE generation_results DROP COLUMN tenant")
    op.execute("DROP FUNCTION tenant_of_result(bytea)")
