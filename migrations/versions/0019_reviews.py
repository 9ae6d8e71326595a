"""Who is to review what until when, and comments on versions. Owner: registry.reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.insert_only import forbid_changes
from migrations.tenancy import OF_CONCEPT, isolate

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "review_assignments",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("reviewers", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("assigned_by", sa.String(), nullable=False),
        sa.Column("assigned_at", _MOMENT, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "place", name="pk_review_assignments"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["review_requests.concept_id", "review_requests.number"],
            name="fk_review_assignments_concept_id_number",
        ),
        sa.CheckConstraint("place >= 1", name="ck_review_assignments_place"),
    )
    op.create_table(
        "review_comments",
        sa.Column("concept_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Integer(), nullable=False),
        sa.Column("reply_to", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("written_at", _MOMENT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("concept_id", "number", "comment", name="pk_review_comments"),
        sa.ForeignKeyConstraint(
            ["concept_id", "number"],
            ["concept_versions.concept_id", "concept_versions.number"],
            name="fk_review_comments_concept_id_number",
        ),
        sa.ForeignKeyConstraint(
            ["concept_id", "number", "reply_to"],
            ["review_comments.concept_id", "review_comments.number", "review_comments.comment"],
            name="fk_review_comments_concept_id_number_reply_to",
        ),
        sa.CheckConstraint("comment >= 1", name="ck_review_comments_comment"),
        sa.CheckConstraint("reply_to < comment", name="ck_review_comments_replies_to_an_earlier_one"),
        sa.CheckConstraint(
            "digest = 'sha256:' || encode(sha256(content), 'hex')", name="ck_review_comments_digest_is_of_content"
        ),
    )
    for table in ("review_assignments", "review_comments"):
        forbid_changes(table)
        isolate(table, OF_CONCEPT)


def downgrade() -> None:
    for table in ("review_comments", "review_assignments"):
        op.drop_table(table)
