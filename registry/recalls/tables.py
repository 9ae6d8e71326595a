"""Rows of recalls, insert-only. A notice itself is no row: it follows from a grant and the end of its version."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import ConceptId, PrincipalId


def _of_version() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["concept_id", "number"], ["concept_versions.concept_id", "concept_versions.number"])


class OfApplicationAndVersion(Base):
    """An act of an application about the end of a version; once for each end."""

    __abstract__ = True

    application: Mapped[PrincipalId] = mapped_column(primary_key=True)
    concept_id: Mapped[ConceptId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
    ended_entry: Mapped[int] = mapped_column(BigInteger, primary_key=True, server_default="-1")
    """The entry that tells the end; -1 in rows from before that was kept, which are about the end before `log_index`."""


class NoticeSentRow(OfApplicationAndVersion):
    """The application fetched the notice for the first time."""

    __tablename__ = "notices_sent"
    __table_args__ = (_of_version(),)


class NoticeAcknowledgementRow(OfApplicationAndVersion):
    """The application says that it has stopped."""

    __tablename__ = "notice_acknowledgements"
    __table_args__ = (_of_version(),)

    comment: Mapped[str]
