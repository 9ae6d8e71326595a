"""Images on record by digest and by perceptual fingerprint. Owner: registry.generations.

Both tables can be made again from `generation_results`, which is the evidence; images recorded before are taken over
from there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BIT

from migrations.insert_only import forbid_changes
from migrations.tenancy import TENANT_COLUMN, isolate

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TAKE_OVER = """
INSERT INTO generated_images (generation_id, position, tenant, digest)
SELECT generations.id, listed.place - 1, generations.tenant, listed.image ->> 'digest'
FROM generation_results
JOIN generations ON generations.id = generation_results.generation_id
CROSS JOIN LATERAL jsonb_array_elements(convert_from(generation_results.content, 'UTF8')::jsonb -> 'images')
    WITH ORDINALITY AS listed(image, place)
"""


def upgrade() -> None:
    op.create_table(
        "generated_images",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "position", name="pk_generated_images"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_generated_images_generation_id"),
    )
    op.create_index("ix_generated_images_digest", "generated_images", ["digest"])
    op.create_table(
        "image_fingerprints",
        sa.Column("generation_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("bits", BIT(256), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "position", "bits", name="pk_image_fingerprints"),
        sa.ForeignKeyConstraint(
            ["generation_id", "position"],
            ["generated_images.generation_id", "generated_images.position"],
            name="fk_image_fingerprints_generation_id_position",
        ),
    )
    op.execute(_TAKE_OVER)
    for table in ("generated_images", "image_fingerprints"):
        forbid_changes(table)
        isolate(table, TENANT_COLUMN)


def downgrade() -> None:
    op.drop_table("image_fingerprints")
    op.drop_table("generated_images")
