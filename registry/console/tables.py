"""The row of a signed-in browser."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.digest import Digest


class ConsoleSessionRow(Base):
    """A session, by the digest of what the browser keeps. Only `closed_at` ever changes."""

    __tablename__ = "console_sessions"
    __table_args__ = (
        CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", name="digest"),
        CheckConstraint("expires_at > opened_at", name="term"),
    )

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    credential: Mapped[Digest] = mapped_column(ForeignKey("credentials.digest"))
    opened_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
