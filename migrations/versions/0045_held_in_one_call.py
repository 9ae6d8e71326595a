"""What an intent waits for, each wait as one call in the database: its key, and the versions it names with their consents.
Owner: registry.generations, registry.versions."""

from __future__ import annotations

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# Statements of a volatile function each see what was committed before them: what stands after a wait is looked up after it.
_PERMITTED_BEFORE = """
CREATE FUNCTION permitted_before(of_keys integer, caller varchar, key varchar) RETURNS varchar LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(of_keys, hashtext(caller || ' ' || key));
    RETURN (SELECT id FROM generations
             WHERE application = caller AND idempotency_key = key AND effect = 'permit');
END
$$
"""
_HOLD_VERSIONS = """
CREATE FUNCTION hold_versions(manifests varchar[]) RETURNS varchar[] LANGUAGE plpgsql AS $$
DECLARE
    held varchar[];
BEGIN
    WITH rested_on AS (
        SELECT id FROM consents
         WHERE id IN (SELECT consent_id
                        FROM version_consents JOIN concept_versions USING (concept_id, number)
                       WHERE manifest_digest = ANY(manifests))
         ORDER BY id
           FOR SHARE
    )
    SELECT coalesce(array_agg(id), '{}') INTO held FROM rested_on;
    PERFORM number
       FROM version_states JOIN concept_versions USING (concept_id, number)
      WHERE manifest_digest = ANY(manifests)
      ORDER BY concept_id, number
        FOR SHARE OF version_states;
    RETURN held;
END
$$
"""


def upgrade() -> None:
    op.execute(_PERMITTED_BEFORE)
    op.execute(_HOLD_VERSIONS)


def downgrade() -> None:
    op.execute("DROP FUNCTION hold_versions(varchar[])")
    op.execute("DROP FUNCTION permitted_before(integer, varchar, varchar)")
