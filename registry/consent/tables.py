"""Rows of consents, their withdrawals, and licences. All insert-only: a withdrawal is a new row, never an edit.

`content` is the canonical form that `digest` is of; it is what is handed out and verified.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
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
    __table_args__ = (UniqueConstraint("tenant", "digest"),)


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
