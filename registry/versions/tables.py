"""Rows of versions. A version and what it rests on are insert-only; its state is one narrow row that moves,
and every status it came to is kept. An alias is a row each time it is set.

The database repeats the rules: one approved version a concept (a partial unique index), no step that the transition
table lacks (a trigger), and a version's owner, trainer of record and requester in the keys that reviews refer to
(`approvals.tables`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from registry.versions.lifecycle import STORED
from sdk.spec.break_glass import MAX_HOURS
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName

STATUSES = ", ".join(f"'{status.value}'" for status in STORED)


class VersionRow(Base):
    """One immutable version."""

    __tablename__ = "concept_versions"
    __table_args__ = (
        UniqueConstraint("concept_id", "number", "owner", "trainer_of_record"),
        Index("ix_concept_versions_tenant_log_index", "tenant", "log_index"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("approvals_required >= 1", name="approvals_required"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(ForeignKey("concepts.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    manifest_digest: Mapped[Digest] = mapped_column(unique=True)
    manifest: Mapped[bytes]
    attestation: Mapped[bytes]
    owner: Mapped[PrincipalId]
    trainer_of_record: Mapped[PrincipalId]
    approvals_required: Mapped[int]
    submitted_by: Mapped[PrincipalId]
    submitted_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class VersionConsentRow(Base):
    """A version rests on a consent."""

    __tablename__ = "version_consents"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    consent_id: Mapped[RecordId] = mapped_column(ForeignKey("consents.id"), primary_key=True, index=True)


class VersionStateRow(Base):
    """Where a version stands now, and how many reviewers have approved it."""

    __tablename__ = "version_states"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        CheckConstraint(f"status IN ({STATUSES})", name="status"),
        CheckConstraint("approvals >= 0", name="approvals"),
        Index(
            "uq_version_states_one_approved", "concept_id", unique=True, postgresql_where=text("status = 'approved'")
        ),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    approvals: Mapped[int]
    changed_at: Mapped[datetime]


class ReviewRequestRow(Base):
    """Somebody asked for the review of a version; a draft has none. Insert-only."""

    __tablename__ = "review_requests"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        UniqueConstraint("concept_id", "number", "requested_by"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    requested_by: Mapped[PrincipalId]
    requested_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class BreakGlassRow(Base):
    """Two people opened a version for a while, before its approval; a version has one at most. Insert-only.

    As in `approvals.tables`, whose work the version is stands in the row by foreign keys, and a check forbids that both
    signers are among them.
    """

    __tablename__ = "break_glasses"
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
        CheckConstraint("first_signer <> second_signer", name="two_people"),
        CheckConstraint("opened_by IN (first_signer, second_signer)", name="opened_by_a_signer"),
        CheckConstraint(
            "first_signer NOT IN (owner, trainer_of_record, requested_by) "
            "OR second_signer NOT IN (owner, trainer_of_record, requested_by)",
            name="separation_of_duties",
        ),
        CheckConstraint(
            f"expires_at > opened_at AND expires_at <= opened_at + interval '{MAX_HOURS} hours'", name="not_for_long"
        ),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    first_signer: Mapped[PrincipalId]  # in the order of their names
    second_signer: Mapped[PrincipalId]
    owner: Mapped[PrincipalId]
    trainer_of_record: Mapped[PrincipalId]
    requested_by: Mapped[PrincipalId]
    terms: Mapped[Digest]
    envelope: Mapped[bytes]
    envelope_digest: Mapped[Digest]
    opened_by: Mapped[PrincipalId]  # the signer who sent it
    opened_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class VersionStatusRow(Base):
    """A status that a version came to; written by the database whenever a state is, insert-only."""

    __tablename__ = "version_statuses"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        CheckConstraint(f"status IN ({STATUSES})", name="status"),
        CheckConstraint("place >= 1", name="place"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    since: Mapped[datetime]


class VersionKeyRow(Base):
    """The wrapped data key of a version's files. No evidence: deleting the row destroys the files."""

    __tablename__ = "version_keys"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    wrapped_key: Mapped[bytes]
    wrapped_by: Mapped[str]


class SealedArtefactRow(Base):
    """Where the ciphertext of a version's file is stored. Insert-only."""

    __tablename__ = "sealed_artefacts"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    stored: Mapped[Digest]


class VersionPreviewRow(Base):
    """A reader looked at the files of a version for the first time. Insert-only."""

    __tablename__ = "version_previews"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
    )

    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    reader: Mapped[PrincipalId] = mapped_column(primary_key=True)
    first_at: Mapped[datetime]


class AliasRow(Base):
    """What an alias names from `set_at` on, until its next row; no number: it names no version. Insert-only."""

    __tablename__ = "version_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        CheckConstraint("place >= 1", name="place"),
    )

    concept_id: Mapped[ConceptId] = mapped_column(ForeignKey("concepts.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int | None]
    set_by: Mapped[PrincipalId]
    set_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
