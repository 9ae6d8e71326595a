"""Lists of versions for people: what waits for reviewers, what stood approved before, every status there was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.versions import service
from registry.versions.tables import VersionRow, VersionStateRow, VersionStatusRow
from registry.versions.version import Version
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, TenantName

WAITING: Final = (VersionStatus.SUBMITTED, VersionStatus.IN_REVIEW)


def waiting(session: Session, tenant: TenantName, *, limit: int = 200) -> Sequence[Version]:
    """The versions that wait for reviewers, longest first."""
    same = (VersionStateRow.concept_id == VersionRow.concept_id) & (VersionStateRow.number == VersionRow.number)
    statement = (
        select(VersionRow.concept_id, VersionRow.number)
        .join(VersionStateRow, same)
        .where(VersionRow.tenant == tenant, VersionStateRow.status.in_([status.value for status in WAITING]))
        .order_by(VersionRow.log_index)
        .limit(limit)
    )
    return [service.load(session, tenant, concept, number) for concept, number in session.execute(statement).all()]


def statuses_of(session: Session, concept: ConceptId) -> Sequence[VersionStatusRow]:
    """Every status that the versions of a concept came to, in the order of versions and of time."""
    statement = select(VersionStatusRow).where(VersionStatusRow.concept_id == concept)
    return session.scalars(statement.order_by(VersionStatusRow.number, VersionStatusRow.place)).all()


def approved_before(session: Session, version: Version) -> Version | None:
    """The newest version of the same concept, older than `version`, that was ever approved."""
    was_approved = (
        select(VersionStatusRow.number)
        .where(
            VersionStatusRow.concept_id == version.concept,
            VersionStatusRow.number < version.number,
            VersionStatusRow.status == VersionStatus.APPROVED.value,
        )
        .order_by(VersionStatusRow.number.desc())
    )
    number = session.scalar(was_approved.limit(1))
    return service.load(session, version.tenant, version.concept, number) if number else None
