"""Rows of webhooks. Where a subscription stands moves; how a delivery ended is insert-only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.webhooks import DeliveryOutcome

OUTCOMES = ", ".join(f"'{outcome.value}'" for outcome in DeliveryOutcome)


class WebhookRow(Base):
    """A subscription."""

    __tablename__ = "webhooks"
    __table_args__ = (
        CheckConstraint("cardinality(events) > 0", name="has_an_event"),
        CheckConstraint("attempts >= 0", name="attempts"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName] = mapped_column(index=True)
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(String))  # as the log names them
    description: Mapped[str]
    created_by: Mapped[PrincipalId]
    created_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
    ended_at: Mapped[datetime | None]
    position: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int]
    due_at: Mapped[datetime | None]
    last_fault: Mapped[str | None]


class WebhookDeliveryRow(Base):
    """How the delivery of one message ended; a replayed one has a row each time. Insert-only."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (CheckConstraint(f"outcome IN ({OUTCOMES})", name="outcome"),)

    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"), primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    log_index: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str]
    attempts: Mapped[int]
    status: Mapped[int | None]
    at: Mapped[datetime]
