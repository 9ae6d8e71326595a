"""Rows of status lists: the newest signed one of each name. No evidence but a cache: the row is replaced when it is signed anew."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName


class StatusListRow(Base):
    """A signed list, with the digest of the bits that it says."""

    __tablename__ = "status_lists"
    __table_args__ = (CheckConstraint("number >= 0", name="number"),)

    tenant: Mapped[TenantName] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    bits: Mapped[Digest]
    signed_at: Mapped[datetime]
    content: Mapped[bytes]
