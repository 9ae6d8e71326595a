"""Where every version stood and what every alias named, from when on. Owner: registry.versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.insert_only import forbid_changes

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATUSES = ("submitted", "in-review", "approved", "rejected", "suspended", "superseded", "revoked")

_MOMENT = sa.DateTime(timezone=True)
_RECORD_STATUS = """
CREATE FUNCTION record_status_of_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO version_statuses (concept_id, number, place, status, since)
    SELECT NEW.concept_id, NEW.number, coalesce(max(place), 0) + 1, NEW.status, NEW.changed_at
    FROM version_statuses WHERE concept_id = NEW.concept_id AND number = NEW.number;
    RETURN NULL;
END
$$
"""
_FILL_FROM_LOG = """
INSERT INTO version_statuses (concept_id, number, place, status, since)
SELECT split_part(subject, '@', 1), split_part(subject, '@', 2)::int,
       row_number() OVER (PARTITION BY subject ORDER BY leaf_index),
       CASE event WHEN 'approval:signed' THEN 'in-review' ELSE split_part(event, ':', 2) END, at
FROM log_entries
WHERE event IN ('version:submitted', 'approval:signed', 'version:approved', 'version:rejected',
                'version:superseded', 'version:suspended', 'version:revoked')
"""


def upgrade() -> None:
    _create_statuses()
    _create_aliases()


def downgrade() -> None:
    op.drop_table("version_aliases")
    op.execute("DROP TRIGGER record_status ON version_states")
    op.execute("DROP FUNCTION record_status_of_version()")
    op.drop_table("version_statuses")


def _create_statuses() -> None:
    op.create_table(
        "version_statuses",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "place", name="pk_version_statuses"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_version_statuses_concept_id_number",
        ),
        sa.CheckConstraint(f"status IN {STATUSES}", name="ck_version_statuses_status"),
        sa.CheckConstraint("place >= 1", name="ck_version_statuses_place"),
    )
    op.execute(_FILL_FROM_LOG)
    op.execute(_RECORD_STATUS)
    op.execute(
        "CREATE TRIGGER record_status AFTER INSERT OR UPDATE ON version_states "
        "FOR EACH ROW EXECUTE FUNCTION record_status_of_version()"
    )
    forbid_changes("version_statuses")


def _create_aliases() -> None:
    op.create_table(
        "version_aliases",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "alias", "place", name="pk_version_aliases"),
        sa.ForeignKeyConstraint(["concept_id"], ["concepts.id"], name="fk_version_aliases_concept_id"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_version_aliases_concept_id_number",
        ),
        sa.CheckConstraint("place >= 1", name="ck_version_aliases_place"),
        sa.CheckConstraint("alias ~ '^[a-z][a-z0-9-]{0,62}$'", name="ck_version_aliases_alias"),
    )
    forbid_changes("version_aliases")
