"""Rows of training jobs. What may happen to them is `service`; the schema is migration 0008.

training_jobs        one row a job; `attempt` is the fencing token, `queue_entry` the one entry that counts
training_progress    one row a running job: how far it is, and when that was last heard
training_events      what happened, inserted only
training_versions    the manifest a job has settled on for each concept, and the version it became; one a concept
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class TrainerBase(DeclarativeBase):
    """Base of the trainer's rows; the registry has its own."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), str: Text, dict[str, Any]: JSONB}


class JobRow(TrainerBase):
    """A training job. Changed only by guarded updates."""

    __tablename__ = "training_jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    requested_by: Mapped[str]
    status: Mapped[str]
    request: Mapped[dict[str, Any]]
    decision: Mapped[dict[str, Any]]  # the policy decision that admitted it
    attempt: Mapped[int] = mapped_column(default=0)
    queue_entry: Mapped[int | None] = mapped_column(BigInteger)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]  # of the first attempt
    finished_at: Mapped[datetime | None]


class ProgressRow(TrainerBase):
    """The newest progress of a job, and the attempt that told it."""

    __tablename__ = "training_progress"

    job: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    attempt: Mapped[int]
    heard_at: Mapped[datetime]
    progress: Mapped[dict[str, Any]]


class EventRow(TrainerBase):
    """One thing that happened to a job."""

    __tablename__ = "training_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    job: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), index=True)
    event: Mapped[str]
    attempt: Mapped[int]
    at: Mapped[datetime]
    detail: Mapped[str | None]


class VersionRow(TrainerBase):
    """The manifest of one concept of a job: settled once, submitted as often as needed."""

    __tablename__ = "training_versions"

    job: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    concept: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    manifest: Mapped[bytes] = mapped_column(LargeBinary)
    version: Mapped[str | None]  # "tenant/name@number", once the registry has it
