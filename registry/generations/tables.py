"""Rows of generations. All insert-only.

A generation is one attempt with its decision, permitted or refused. An application's idempotency key counts for what
was permitted; what was refused may be asked again, and is then another attempt.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base, TextOf
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.policy import Effect
from sdk.spec.watermark import WatermarkId

EFFECTS = ", ".join(f"'{effect.value}'" for effect in Effect)


class GenerationRow(Base):
    """One attempt: the intent, what was known, and what was decided."""

    __tablename__ = "generations"
    __table_args__ = (
        CheckConstraint(f"effect IN ({EFFECTS})", name="effect"),
        CheckConstraint("(effect = 'permit') = (expires_at IS NOT NULL)", name="only_a_permit_expires"),
        CheckConstraint("effect = 'permit' OR compose_grant IS NULL", name="only_a_permit_has_a_grant"),
        Index(
            "uq_generations_application_idempotency_key",
            "application",
            "idempotency_key",
            unique=True,
            postgresql_where=text("effect = 'permit'"),
        ),
        Index("ix_generations_tenant_log_index", "tenant", "log_index"),
        Index("ix_generations_tenant_decided_at", "tenant", "decided_at"),
    )

    id: Mapped[RecordId] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    application: Mapped[PrincipalId]
    idempotency_key: Mapped[str]
    effect: Mapped[str]
    intent: Mapped[bytes]
    context: Mapped[bytes]  # the PolicyContext: with the bundle, anybody can decide it again
    decision: Mapped[bytes]
    decided_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    log_index: Mapped[int] = mapped_column(BigInteger)
    territory: Mapped[str | None] = mapped_column(Computed("json_of(intent) -> 'use' ->> 'territory'", persisted=True))
    asked: Mapped[int | None] = mapped_column(Computed("(json_of(intent) ->> 'count')::integer", persisted=True))
    compose_grant: Mapped[bytes | None]  # the signed envelope of a permit; permits of earlier builds have none


class GenerationVersionRow(Base):
    """A version that an attempt named, in the order of the intent."""

    __tablename__ = "generation_versions"
    __table_args__ = (
        ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"]),
        Index("ix_generation_versions_concept_id", "concept_id"),
    )

    generation_id: Mapped[RecordId] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    concept_id: Mapped[ConceptId]
    number: Mapped[int]
    renewal: Mapped[int] = mapped_column(server_default="0")  # whose terms held; 0: those of the manifest


class LicenceUseRow(Base):
    """Images that a permit counts under a licence that limits them."""

    __tablename__ = "licence_uses"
    __table_args__ = (
        CheckConstraint("images >= 1", name="images"),
        Index("ix_licence_uses_licence_id", "licence_id"),
    )

    generation_id: Mapped[RecordId] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    licence_id: Mapped[RecordId] = mapped_column(ForeignKey("licences.id"), primary_key=True)
    images: Mapped[int]


class GenerationResultRow(Base):
    """What was generated; a permitted attempt has at most one result."""

    __tablename__ = "generation_results"
    __table_args__ = (Index("ix_generation_results_recorded_at", "recorded_at"),)

    generation_id: Mapped[RecordId] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    content: Mapped[bytes]
    digest: Mapped[Digest]
    recorded_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
    tenant: Mapped[TenantName | None] = mapped_column(Computed("tenant_of_result(content)", persisted=True))
    images: Mapped[int | None] = mapped_column(
        Computed("jsonb_array_length(json_of(content) -> 'images')", persisted=True)
    )
    fee_currency: Mapped[str | None] = mapped_column(Computed("fee_of_result(content) ->> 'currency'", persisted=True))
    fee_amount: Mapped[Decimal | None] = mapped_column(
        Computed("(fee_of_result(content) ->> 'amount')::numeric", persisted=True)
    )


class GeneratedImageRow(Base):
    """An image of a result, to be found by its digest; made from the result, which is the evidence."""

    __tablename__ = "generated_images"
    __table_args__ = (
        Index("ix_generated_images_digest", "digest"),
        Index("ix_generated_images_watermark", "watermark"),
    )

    generation_id: Mapped[RecordId] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    digest: Mapped[Digest]
    watermark: Mapped[WatermarkId | None] = mapped_column(TextOf(WatermarkId))


class ImageFingerprintRow(Base):
    """A perceptual fingerprint of an image or of a crop of it, as zeros and ones."""

    __tablename__ = "image_fingerprints"
    __table_args__ = (
        ForeignKeyConstraint(
            ["generation_id", "position"], ["generated_images.generation_id", "generated_images.position"]
        ),
        Index("ix_image_fingerprints_parts", text("fingerprint_parts(bits)"), postgresql_using="gin"),
    )

    generation_id: Mapped[RecordId] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    bits: Mapped[str] = mapped_column(BIT(FINGERPRINT_BITS), primary_key=True)
    tenant: Mapped[TenantName]


class ArtefactReleaseRow(Base):
    """An artefact was handed to the application of a generation; noted once each."""

    __tablename__ = "artefact_releases"

    generation_id: Mapped[RecordId] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    released_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
