"""Rows of reviews and revocations: signed statements, insert-only.

The database repeats the separation of duties: a review refers to its version together with the version's owner and
trainer of record, and to the request for it together with who asked, so all three are in the row and cannot be others;
a check then forbids that one of them is the reviewer of an approval. It repeats the threshold too: no version is left
approved by a transaction with fewer reviews than it requires (a deferred trigger).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId


class Verdict(StrEnum):
    """What a review says."""

    APPROVE = "approve"
    REJECT = "reject"


VERDICTS = ", ".join(f"'{verdict.value}'" for verdict in Verdict)


class ReviewRow(Base):
    """One reviewer's signed verdict on one version; a reviewer has one."""

    __tablename__ = "reviews"
    __table_args__ = (
        ForeignKeyConstraint(
            ["concept_id", "number", "owner", "trainer_of_record"],
            [
                "concept_versions.concept_id",
                "concept_versions.number",
                "concept_versions.owner",
                "concept_versions.trainer_of_record",
            ],
        ),
        ForeignKeyConstraint(
            ["concept_id", "number", "requested_by"],
            ["review_requests.concept_id", "review_requests.number", "review_requests.requested_by"],
        ),
        CheckConstraint(f"verdict IN ({VERDICTS})", name="verdict"),
        CheckConstraint(
            "verdict <> 'approve' OR reviewer NOT IN (owner, trainer_of_record, requested_by)",
            name="separation_of_duties",
        ),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    reviewer: Mapped[PrincipalId] = mapped_column(primary_key=True)
    verdict: Mapped[str]
    owner: Mapped[PrincipalId]
    trainer_of_record: Mapped[PrincipalId]
    envelope: Mapped[bytes]
    envelope_digest: Mapped[Digest]
    reviewed_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
    requested_by: Mapped[PrincipalId]  # who asked for the review


class RevocationRow(Base):
    """The signed end of a version; there is at most one."""

    __tablename__ = "revocations"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    revoked_by: Mapped[PrincipalId]
    envelope: Mapped[bytes]
    envelope_digest: Mapped[Digest]
    revoked_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
