"""Rows of review as work: each assignment and each comment is a row, insert-only. The newest assignment holds."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId


class AssignmentRow(Base):
    """Who is to review a version, and until when."""

    __tablename__ = "review_assignments"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["review_requests.concept_id", "review_requests.number"]),
        CheckConstraint("place >= 1", name="place"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    reviewers: Mapped[list[str]] = mapped_column(ARRAY(String))
    due_at: Mapped[datetime | None]
    assigned_by: Mapped[PrincipalId]
    assigned_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class CommentRow(Base):
    """A comment on a version; `content` is the canonical form that the log's digest is of."""

    __tablename__ = "review_comments"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        ForeignKeyConstraint(
            ["concept_id", "number", "reply_to"],
            ["review_comments.concept_id", "review_comments.number", "review_comments.comment"],
        ),
        CheckConstraint("comment >= 1", name="comment"),
        CheckConstraint("reply_to < comment", name="replies_to_an_earlier_one"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    comment: Mapped[int] = mapped_column(primary_key=True)
    reply_to: Mapped[int | None]
    author: Mapped[PrincipalId]
    written_at: Mapped[datetime]
    content: Mapped[bytes]
    digest: Mapped[Digest]
    log_index: Mapped[int] = mapped_column(BigInteger)
