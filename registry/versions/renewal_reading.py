"""Where renewals stand: one, those of a version, those of a tenant that wait. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from registry.paging import page_of
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import RENEWABLE
from registry.versions.renewal_tables import RenewalReviewRow, RenewalRow, RenewedTermsRow
from registry.versions.tables import VersionStateRow
from registry.versions.version import Version
from sdk.errors import NotFound
from sdk.signing.trust import TrustRole
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Role
from sdk.spec.renewal import RenewalPage, RenewalStatus, RenewalView

READERS: Final = (Role.REVIEWER, Role.OWNER, Role.TRAINER, Role.AUDITOR, Role.ADMIN)
APPROVE: Final = "approve"
REJECT: Final = "reject"


def newest_of(session: Session, version: Version) -> RenewalRow | None:
    """The newest renewal of a version, wherever it stands."""
    statement = select(RenewalRow).where(RenewalRow.concept_id == version.concept, RenewalRow.number == version.number)
    return session.scalar(statement.order_by(RenewalRow.round.desc()).limit(1))


def of_round(session: Session, version: Version, number: int) -> RenewalRow:
    """The renewal of a version by its number. Raises `NotFound`."""
    row = session.get(RenewalRow, (version.concept, version.number, number))
    if row is None:
        raise NotFound(f"{version.name} has no renewal {number}; see the list of its renewals")
    return row


def waiting_of(session: Session, version: Version) -> RenewalRow:
    """The renewal that waits for reviewers. Raises `NotFound`."""
    row = newest_of(session, version)
    if row is None or status_of(session, version, row) is not RenewalStatus.WAITING:
        raise NotFound(f"no renewal of {version.name} waits for reviewers; its owner can ask for one")
    return row


def status_of(session: Session, version: Version, row: RenewalRow) -> RenewalStatus:
    """Where a renewal stands, by what came after it."""
    if row.round in {renewal.round for renewal in version.renewals}:
        return RenewalStatus.APPROVED
    if REJECT in [review.verdict for review in reviews_of(session, row)]:
        return RenewalStatus.REJECTED
    newest = newest_of(session, version)
    if newest is not None and newest.round > row.round:
        return RenewalStatus.REPLACED
    return RenewalStatus.WAITING if version.stored_status in RENEWABLE else RenewalStatus.LAPSED


def reviews_of(session: Session, row: RenewalRow) -> Sequence[RenewalReviewRow]:
    """What reviewers signed about a renewal, oldest first."""
    table = RenewalReviewRow
    same = (table.concept_id == row.concept_id, table.number == row.number, table.round == row.round)
    return session.scalars(select(table).where(*same).order_by(table.log_index)).all()


def records_of(row: RenewalRow) -> tuple[tuple[RecordId, ...], tuple[RecordId, ...]]:
    """The consents and the licences of a renewal."""
    return tuple(map(RecordId, row.consents)), tuple(map(RecordId, row.licences))


def view_of(session: Session, runtime: Runtime, version: Version, row: RenewalRow) -> RenewalView:
    """A renewal as it travels."""
    consents, licences = records_of(row)
    held = next((renewal for renewal in version.renewals if renewal.round == row.round), None)
    return RenewalView(
        concept=row.concept_id,
        number=row.number,
        round=row.round,
        status=status_of(session, version, row),
        consents=consents,
        licences=licences,
        terms=row.terms,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        approvals=sum(review.verdict == APPROVE for review in reviews_of(session, row)),
        approvals_required=row.approvals_required,
        may_review=_may_review(runtime, version, row),
        since=held.since if held else None,
        log_index=row.log_index,
    )


def page(session: Session, runtime: Runtime, version: Version, query: PageQuery) -> RenewalPage:
    """A page of the renewals of a version, oldest first."""
    statement = select(RenewalRow).where(RenewalRow.concept_id == version.concept, RenewalRow.number == version.number)
    rows, cursor = page_of(session, statement, query, by=[RenewalRow.round], key=lambda row: (row.round,), kinds=[int])
    renewals = tuple(view_of(session, runtime, version, row) for row in rows)
    return RenewalPage(renewals=renewals, next_cursor=cursor)


def waiting(session: Session, runtime: Runtime, tenant: TenantName, query: PageQuery) -> RenewalPage:
    """A page of the renewals that wait for reviewers in the tenant that the session works for, oldest first."""
    row, later, review, held = RenewalRow, aliased(RenewalRow), RenewalReviewRow, RenewedTermsRow
    newest = select(func.max(later.round)).where(later.concept_id == row.concept_id, later.number == row.number)
    rejected = select(review.round).where(
        review.concept_id == row.concept_id,
        review.number == row.number,
        review.round == row.round,
        review.verdict == REJECT,
    )
    approved = select(held.round).where(
        held.concept_id == row.concept_id, held.number == row.number, held.round == row.round
    )
    state = (VersionStateRow.concept_id == row.concept_id) & (VersionStateRow.number == row.number)
    statement = (
        select(row)
        .join(VersionStateRow, state)
        .where(
            func.split_part(row.concept_id, "/", 1) == str(tenant),
            VersionStateRow.status.in_([status.value for status in RENEWABLE]),
            row.round == newest.scalar_subquery(),
            ~rejected.exists(),
            ~approved.exists(),
        )
    )
    rows, cursor = page_of(session, statement, query, by=[row.log_index], key=lambda row: (row.log_index,), kinds=[int])
    found = [(each, service.load(session, tenant, each.concept_id, each.number)) for each in rows]
    renewals = tuple(view_of(session, runtime, version, each) for each, version in found)
    return RenewalPage(renewals=renewals, next_cursor=cursor)


def _may_review(runtime: Runtime, version: Version, row: RenewalRow) -> tuple[PrincipalId, ...]:
    barred = {version.owner, version.trainer_of_record, row.requested_by}
    holders = runtime.trust_root.holders_of(TrustRole.APPROVAL)
    return tuple(sorted(holder for holder in holders - barred if holder.tenant == version.tenant))
