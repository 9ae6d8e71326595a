"""What stood at a moment: one query a question, over rows that are only ever inserted. Nothing is written here.

A moment in the past answers the same for ever. The order of two rows is their `place`, given under a lock, so that a
clock that was set back changes nothing that came before it. Which policies were in force is `registry.policies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Select, and_, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from registry.paging import page_of
from registry.versions.renewal_tables import RenewalRow, RenewedTermsRow
from registry.versions.tables import AliasRow, VersionRow, VersionStatusRow
from registry.versions.version import Renewal
from sdk.spec.api import AliasView
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import AliasName, ConceptId, RecordId, TenantName
from sdk.spec.paging import PageQuery


def aliases_at(
    session: Session, tenant: TenantName, at: datetime, concept: ConceptId | None, query: PageQuery | None = None
) -> tuple[Sequence[AliasView], str | None]:
    """A page of what the aliases of `tenant`, or of one concept, named at the moment `at`, by name."""
    latest = aliased(AliasRow, _latest_aliases(at).subquery())
    statement = select(latest).where(
        latest.number.is_not(None), func.split_part(latest.concept_id, "/", 1) == str(tenant)
    )
    if concept:
        statement = statement.where(latest.concept_id == concept)
    rows, cursor = page_of(
        session,
        statement,
        query,
        by=[latest.concept_id, latest.alias],
        key=lambda row: (row.concept_id, row.alias),
        kinds=[str, str],
    )
    return [view_of(row) for row in rows], cursor


def alias_now(session: Session, concept: ConceptId, alias: AliasName) -> AliasRow | None:
    """The newest row of an alias, if it ever was set."""
    statement = select(AliasRow).where(AliasRow.concept_id == concept, AliasRow.alias == alias)
    return session.scalar(statement.order_by(AliasRow.place.desc()).limit(1))


def named_by(
    session: Session, tenant: TenantName, concept: ConceptId, alias: AliasName, at: datetime | None = None
) -> int | None:
    """The number that an alias of `tenant` names now, or named at the moment `at`; none when it names none."""
    if concept.tenant != tenant:
        return None
    statement = select(AliasRow.number).where(AliasRow.concept_id == concept, AliasRow.alias == alias)
    if at:
        statement = statement.where(AliasRow.set_at <= at)
    return session.scalar(statement.order_by(AliasRow.place.desc()).limit(1))


def meanings_of(
    session: Session, concept: ConceptId, alias: AliasName, query: PageQuery
) -> tuple[Sequence[AliasView], str | None]:
    """A page of everything that an alias ever named, oldest first."""
    statement = select(AliasRow).where(AliasRow.concept_id == concept, AliasRow.alias == alias)
    rows, cursor = page_of(session, statement, query, by=[AliasRow.place], key=lambda row: (row.place,), kinds=[int])
    return [view_of(row) for row in rows], cursor


def approved_at(
    session: Session, tenant: TenantName, at: datetime, concept: ConceptId | None = None
) -> Mapping[ConceptId, int]:
    """The number of the version of each concept that stood approved at the moment `at`; terms are not looked at."""
    latest = aliased(VersionStatusRow, _latest_statuses(at).subquery())
    of_tenant = and_(VersionRow.concept_id == latest.concept_id, VersionRow.number == latest.number)
    statement = (
        select(latest.concept_id, latest.number)
        .join(VersionRow, of_tenant)
        .where(latest.status == VersionStatus.APPROVED.value, VersionRow.tenant == tenant)
    )
    if concept:
        statement = statement.where(latest.concept_id == concept)
    return dict(list(session.execute(statement)))


def status_row_at(session: Session, concept: ConceptId, number: int, at: datetime) -> VersionStatusRow | None:
    """The status that a version had come to by the moment `at`; none before it was submitted."""
    statement = _latest_statuses(at).where(VersionStatusRow.concept_id == concept, VersionStatusRow.number == number)
    return session.scalar(statement)


def renewals_of(session: Session, concept: ConceptId, number: int) -> tuple[Renewal, ...]:
    """The renewals of a version that were approved, by round; one may begin later."""
    same = (RenewedTermsRow.concept_id == RenewalRow.concept_id) & (RenewedTermsRow.number == RenewalRow.number)
    statement = (
        select(RenewalRow, RenewedTermsRow)
        .join(RenewedTermsRow, same & (RenewedTermsRow.round == RenewalRow.round))
        .where(RenewalRow.concept_id == concept, RenewalRow.number == number)
        .order_by(RenewalRow.round)
    )
    return tuple(
        Renewal(
            round=asked.round,
            consents=tuple(map(RecordId, asked.consents)),
            licences=tuple(map(RecordId, asked.licences)),
            since=held.since,
            requested_entry=asked.log_index,
            log_index=held.log_index,
        )
        for asked, held in session.execute(statement)
    )


def view_of(row: AliasRow) -> AliasView:
    """What an alias came to name, as it travels."""
    return AliasView(
        concept=row.concept_id,
        alias=AliasName(row.alias),
        number=row.number or 0,
        set_by=row.set_by,
        set_at=row.set_at,
        log_index=row.log_index,
    )


def _latest_aliases(at: datetime) -> Select[AliasRow]:
    return (
        select(AliasRow)
        .ext(distinct_on(AliasRow.concept_id, AliasRow.alias))
        .where(AliasRow.set_at <= at)
        .order_by(AliasRow.concept_id, AliasRow.alias, AliasRow.place.desc())
    )


def _latest_statuses(at: datetime) -> Select[VersionStatusRow]:
    return (
        select(VersionStatusRow)
        .ext(distinct_on(VersionStatusRow.concept_id, VersionStatusRow.number))
        .where(VersionStatusRow.since <= at)
        .order_by(VersionStatusRow.concept_id, VersionStatusRow.number, VersionStatusRow.place.desc())
    )
