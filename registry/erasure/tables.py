"""Rows of erasures. Both tables are insert-only; neither says whom it was about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import PrincipalId, RecordId, TenantName


class ErasureRow(Base):
    """One erasure, with its signed certificate."""

    __tablename__ = "erasures"

    id: Mapped[RecordId] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    certificate: Mapped[bytes]
    erased_by: Mapped[PrincipalId]
    erased_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


class ErasedKeyRow(Base):
    """A key of the vault that an erasure destroys, also when it comes back with a backup of the vault."""

    __tablename__ = "erased_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    erasure_id: Mapped[RecordId] = mapped_column(ForeignKey("erasures.id"))
