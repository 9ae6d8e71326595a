"""Rows of renewals: other terms for a version, the reviews of them, and from when on they hold. All insert-only.

A renewal is asked for once a round. Where it stands is told by what was inserted after it (`versions.renewal`): an approval
at the threshold, a rejection, a later round. The database repeats the rules: nobody approves what they own, had trained or
asked for, and no renewal holds with fewer approvals than it requires, or after a rejection (a deferred trigger).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId


class RenewalRow(Base):
    """Somebody asked that a version stand under these records."""

    __tablename__ = "renewals"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        UniqueConstraint("concept_id", "number", "round", "requested_by"),
        CheckConstraint("round >= 1", name="round"),
        CheckConstraint("approvals_required >= 1", name="approvals_required"),
        CheckConstraint("cardinality(consents) >= 1 AND cardinality(licences) >= 1", name="records"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    consents: Mapped[list[str]] = mapped_column(ARRAY(String))
    licences: Mapped[list[str]] = mapped_column(ARRAY(String))
    terms: Mapped[Digest]
    approvals_required: Mapped[int]
    requested_by: Mapped[PrincipalId]
    requested_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class RenewalReviewRow(Base):
    """One reviewer's signed verdict on one renewal; a reviewer has one. Its duties are separated as those of a review are."""

    __tablename__ = "renewal_reviews"
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
            ["concept_id", "number", "round", "requested_by"],
            ["renewals.concept_id", "renewals.number", "renewals.round", "renewals.requested_by"],
        ),
        CheckConstraint("verdict IN ('approve', 'reject')", name="verdict"),
        CheckConstraint(
            "verdict <> 'approve' OR reviewer NOT IN (owner, trainer_of_record, requested_by)",
            name="separation_of_duties",
        ),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    reviewer: Mapped[PrincipalId] = mapped_column(primary_key=True)
    verdict: Mapped[str]
    owner: Mapped[PrincipalId]
    trainer_of_record: Mapped[PrincipalId]
    requested_by: Mapped[PrincipalId]
    envelope: Mapped[bytes]
    envelope_digest: Mapped[Digest]
    reviewed_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class RenewedTermsRow(Base):
    """The terms of a renewal hold from `since` on, until those of a later round do."""

    __tablename__ = "renewed_terms"
    __table_args__ = (
        ForeignKeyConstraint(
            ["concept_id", "number", "round"], ["renewals.concept_id", "renewals.number", "renewals.round"]
        ),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    renewed_by: Mapped[PrincipalId]  # the reviewer whose approval reached the threshold
    renewed_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
