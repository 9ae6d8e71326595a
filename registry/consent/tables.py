"""Rows of consents, their withdrawals and other events, who subjects are, and licences. All insert-only: a withdrawal is a new row, never an edit.

`content` is the canonical form that `digest` is of; it is what is handed out and verified.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from registry.personal import SealedRecord
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId, TenantName


class RecordRow(Base):
    """What consents and licences have in common; a table of its own for each."""

    __abstract__ = True

    id: Mapped[RecordId] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    digest: Mapped[Digest]
    content: Mapped[bytes]
    recorded_by: Mapped[PrincipalId]
    recorded_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class ConsentRow(RecordRow):
    """One act of consent."""

    __tablename__ = "consents"
    __table_args__ = (UniqueConstraint("tenant", "digest"), Index(None, "tenant", "subject"))

    content: Mapped[bytes] = mapped_column(SealedRecord())
    subject: Mapped[str | None]  # the pseudonym in `content`, to look records up by


class LicenceRow(RecordRow):
    """One licence grant."""

    __tablename__ = "licences"
    __table_args__ = (UniqueConstraint("tenant", "digest"),)


class ConsentWithdrawalRow(Base):
    """The end of a consent; there is at most one, and no way back."""

    __tablename__ = "consent_withdrawals"

    consent_id: Mapped[RecordId] = mapped_column(ForeignKey("consents.id"), primary_key=True)
    reason: Mapped[str]
    withdrawn_by: Mapped[PrincipalId]
    withdrawn_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class ConsentEventRow(Base):
    """A consent was asked for anew, confirmed or refused; `content` is the report or answer, none when by the clock."""

    __tablename__ = "consent_events"
    __table_args__ = (
        CheckConstraint("place >= 1", name="place"),
        CheckConstraint("event IN ('ask', 're-confirm', 'refuse')", name="event"),
        CheckConstraint("event = 'ask' OR (content IS NOT NULL AND expressed_on IS NOT NULL)", name="answer"),
    )

    consent_id: Mapped[RecordId] = mapped_column(ForeignKey("consents.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str]
    content: Mapped[bytes | None] = mapped_column(SealedRecord())
    expressed_on: Mapped[date | None]
    recorded_by: Mapped[PrincipalId]
    recorded_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class SubjectBindingRow(Base):
    """From here on, until its next row, a principal is or speaks for the person behind a pseudonym, or is not."""

    __tablename__ = "subject_bindings"
    __table_args__ = (
        CheckConstraint("place >= 1", name="place"),
        Index(None, "tenant", "principal"),
    )

    tenant: Mapped[TenantName] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(primary_key=True)
    principal: Mapped[PrincipalId] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    bound: Mapped[bool]
    content: Mapped[bytes]
    recorded_by: Mapped[PrincipalId]
    recorded_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
