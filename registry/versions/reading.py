"""Lists of versions: what waits for reviewers, what stands where, what stood approved before, every status there was or is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Subquery, select
from sqlalchemy.orm import Session

from registry.versions import service
from registry.versions.break_glass import opened_at
from registry.versions.lifecycle import WAITING
from registry.versions.renewal_tables import RenewedTermsRow
from registry.versions.tables import (
    ReviewRequestRow,
    VersionConsentRow,
    VersionRow,
    VersionStateRow,
    VersionStatusRow,
)
from registry.versions.version import Version
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, RecordId, TenantName


def waiting(tenant: TenantName) -> Subquery:
    """The versions that wait for reviewers, to be joined: `concept_id`, `number`, and `requested`, the entry that asked."""
    return (
        select(VersionRow.concept_id, VersionRow.number, ReviewRequestRow.log_index.label("requested"))
        .join(VersionStateRow, service.same_version(VersionStateRow))
        .join(ReviewRequestRow, service.same_version(ReviewRequestRow))
        .where(VersionRow.tenant == tenant, VersionStateRow.status.in_([status.value for status in WAITING]))
        .subquery("waiting")
    )


def statuses_of(session: Session, concept: ConceptId) -> Sequence[VersionStatusRow]:
    """Every status that the versions of a concept came to, in the order of versions and of time."""
    statement = select(VersionStatusRow).where(VersionStatusRow.concept_id == concept)
    return session.scalars(statement.order_by(VersionStatusRow.number, VersionStatusRow.place)).all()


def statuses_by_entry(
    session: Session, tenant: TenantName, first: int, end: int, at: datetime
) -> Mapping[int, VersionStatus]:
    """What stands in entries `first` to `end`, which is not included: the statuses of the versions that were submitted there, as
    they are stored, and at the moment `at` opened by break-glass; and of those renewed there.

    A version stands in one entry: that of the renewal whose terms hold, or of its submission. In its others it is superseded.
    """
    statement = (
        select(VersionRow.log_index, VersionStateRow.status)
        .join(VersionStateRow, service.same_version(VersionStateRow))
        .where(VersionRow.tenant == tenant, VersionRow.log_index >= first, VersionRow.log_index < end)
    )
    stored = {entry: VersionStatus(status) for entry, status in session.execute(statement).all()}
    opened = {version.log_index: VersionStatus.BREAK_GLASS for version in opened_at(session, tenant, at)}
    beside = opened | _renewed(session, tenant, at)
    return stored | {entry: status for entry, status in beside.items() if first <= entry < end}


def _renewed(session: Session, tenant: TenantName, at: datetime) -> dict[int, VersionStatus]:
    """The statuses in all entries of versions of which a renewal has begun."""
    began = (
        select(RenewedTermsRow.log_index, VersionRow.log_index, VersionStateRow.status)
        .join(VersionRow, service.same_version(RenewedTermsRow))
        .join(VersionStateRow, service.same_version(VersionStateRow))
        .where(VersionRow.tenant == tenant, RenewedTermsRow.since <= at)
        .order_by(RenewedTermsRow.round)
    )
    statuses: dict[int, VersionStatus] = {}
    standing: dict[int, int] = {}  # the entry in which a version stands, by that of its submission
    for renewed, submitted, status in session.execute(began):
        before = standing.get(submitted, submitted)
        ended = VersionStatus(status) is not VersionStatus.APPROVED
        statuses[before] = VersionStatus(status) if ended else VersionStatus.SUPERSEDED
        statuses[renewed] = VersionStatus(status)
        standing[submitted] = renewed
    return statuses


def resting_on(session: Session, tenant: TenantName, consents: Iterable[RecordId]) -> Sequence[Version]:
    """The versions that rest on one of `consents`, by name."""
    statement = (
        select(VersionConsentRow.concept_id, VersionConsentRow.number)
        .where(VersionConsentRow.consent_id.in_(sorted(consents)))
        .order_by(VersionConsentRow.concept_id, VersionConsentRow.number)
        .distinct()
    )
    return [service.load(session, tenant, concept, number) for concept, number in session.execute(statement).all()]


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
