"""Watermarks of images, and near fingerprints found through an index. Owner: registry.generations.

A fingerprint of 256 bits is sixteen parts of 16 bits. Two that differ in at most 31 bits differ in at most one bit of
some part (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012), so an index of
the parts, asked for each part and its 16 neighbours, misses nothing.

Row security would keep the planner from this index: `&&` is not leakproof. `near_fingerprints` therefore runs as the
tables' owner and names the tenant itself; it says positions and distances, and the rows are read under row security.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from migrations.tenancy import APP_ROLE, TENANT_COLUMN

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_PARTS: Final = ", ".join(
    f"{part << 16} + substring(bits FROM {16 * part + 1} FOR 16)::bit(16)::integer" for part in range(16)
)
_MASKS: Final = ", ".join(f"({mask})" for mask in (0, *(1 << bit for bit in range(16))))
_MAKE_PARTS: Final = f"""
CREATE FUNCTION fingerprint_parts(bits bit) RETURNS integer[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ARRAY[{_PARTS}] $$
"""
_MAKE_PROBES: Final = f"""
CREATE FUNCTION fingerprint_probes(bits bit) RETURNS integer[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(part # mask) FROM unnest(fingerprint_parts(bits)) AS part, (VALUES {_MASKS}) AS masks (mask)
$$
"""  # noqa: S608 - numbers of this file only
_MAKE_NEAR: Final = f"""
CREATE FUNCTION near_fingerprints(asked bit[], near integer)
RETURNS TABLE (generation_id varchar, "position" integer, distance integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT held.generation_id, held."position", bit_count(held.bits # one)::integer
    FROM unnest(asked) AS one
    JOIN image_fingerprints AS held ON fingerprint_parts(held.bits) && fingerprint_probes(one)
    WHERE near < 32 AND held.{TENANT_COLUMN} AND bit_count(held.bits # one) <= near
$$
"""  # noqa: S608 - names of the migrations only
_FUNCTIONS: Final = (
    _MAKE_PARTS,
    _MAKE_PROBES,
    _MAKE_NEAR,
    "REVOKE ALL ON FUNCTION near_fingerprints FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION near_fingerprints TO {APP_ROLE}",
)


def upgrade() -> None:
    op.add_column("generated_images", sa.Column("watermark", sa.String(), nullable=True))
    op.create_index("ix_generated_images_watermark", "generated_images", ["watermark"])
    for statement in _FUNCTIONS:
        op.execute(statement)
    op.execute("CREATE INDEX ix_image_fingerprints_parts ON image_fingerprints USING gin (fingerprint_parts(bits))")


def downgrade() -> None:
    op.execute("DROP INDEX ix_image_fingerprints_parts")
    for name in ("near_fingerprints", "fingerprint_probes", "fingerprint_parts"):
        op.execute(f"DROP FUNCTION {name}")
    op.drop_index("ix_generated_images_watermark", "generated_images")
    op.drop_column("generated_images", "watermark")
