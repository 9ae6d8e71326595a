"""Rows of renders. What may happen to them is `service`; the schema is migrations 0030, 0034 and 0043.

renders          one row a grant, for ever: so a grant is drawn once. `request` is erased when the render ends.
render_images    what was drawn, and what it attended to where that was asked for; erased when the render ends
render_previews  the newest preview of each picture; erased like it
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from trainer.jobs.tables import TrainerBase


class RenderRow(TrainerBase):
    """A render. Changed only by guarded updates."""

    __tablename__ = "renders"

    generation: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    application: Mapped[str]
    status: Mapped[str]
    request: Mapped[bytes | None] = mapped_column(LargeBinary)  # the RenderRequest; none once it has ended
    request_digest: Mapped[str]
    attempt: Mapped[int] = mapped_column(default=0)
    image: Mapped[int] = mapped_column(default=0)
    together: Mapped[int] = mapped_column(default=1)
    images: Mapped[int]
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int]
    previews: Mapped[int] = mapped_column(default=0)  # made in this attempt
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # of the grant
    queue_entry: Mapped[int | None] = mapped_column(BigInteger)


class RenderImageRow(TrainerBase):
    """An image of a render that waits for the application."""

    __tablename__ = "render_images"

    generation: Mapped[str] = mapped_column(ForeignKey("renders.generation"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    png: Mapped[bytes] = mapped_column(LargeBinary)
    attention: Mapped[bytes | None] = mapped_column(LargeBinary)  # the RenderAttention


class RenderPreviewRow(TrainerBase):
    """How a picture looked after a step."""

    __tablename__ = "render_previews"

    generation: Mapped[str] = mapped_column(ForeignKey("renders.generation"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int]
    png: Mapped[bytes] = mapped_column(LargeBinary)
