"""Rows of reminders, insert-only: that one was made. The day itself stays in its record, which may be sealed and erased."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.reminders import ReminderKind

KINDS = ", ".join(f"'{kind.value}'" for kind in ReminderKind)


class ReminderRow(Base):
    """A reminder about one record, of one kind; records never change, so there is one of each at most."""

    __tablename__ = "reminders"
    __table_args__ = (CheckConstraint(f"kind IN ({KINDS})", name="kind"),)

    record_id: Mapped[RecordId] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName]
    reminded_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
