"""The rows of versions that were opened for a while before their approval; who may open one is `registry.approvals.break_glass`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.paging import page_of
from registry.versions import service
from registry.versions.tables import BreakGlassRow
from registry.versions.version import Terms, Version
from sdk.spec.break_glass import BreakGlassPredicate
from sdk.spec.bundle import VersionStatus
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.paging import PageQuery


def record_opening(
    session: Session,
    version: Version,
    terms: Terms,
    predicate: BreakGlassPredicate,
    envelope: Envelope,
    *,
    by: PrincipalId,
    log_index: int,
) -> BreakGlassRow:
    """Keep what two people signed, with the log entry that says so."""
    first, second = sorted(predicate.signers)
    row = BreakGlassRow(
        concept_id=version.concept,
        number=version.number,
        first_signer=first,
        second_signer=second,
        owner=version.owner,
        trainer_of_record=version.trainer_of_record,
        requested_by=version.requester,
        terms=terms.digest,
        envelope=encode_envelope(envelope),
        envelope_digest=envelope.digest,
        opened_by=by,
        opened_at=terms.at,
        expires_at=predicate.expires_at,
        log_index=log_index,
    )
    session.add(row)
    session.flush()
    return row


def opening_of(session: Session, version: Version) -> BreakGlassRow | None:
    """The break-glass of a version, if it ever was opened."""
    return session.get(BreakGlassRow, (version.concept, version.number))


def openings(session: Session, query: PageQuery) -> tuple[Sequence[BreakGlassRow], str | None]:
    """A page of every break-glass of the tenant that the session works for, oldest first."""
    order = BreakGlassRow.log_index
    return page_of(session, select(BreakGlassRow), query, by=[order], key=lambda row: (row.log_index,), kinds=[int])


def opened_at(session: Session, tenant: TenantName, at: datetime) -> Sequence[Version]:
    """The versions that are in use under a break-glass at the moment `at`, which is now; the newest opened last."""
    statement = select(BreakGlassRow.concept_id, BreakGlassRow.number).where(BreakGlassRow.expires_at > at)
    found = [
        service.load(session, tenant, concept, number)
        for concept, number in session.execute(statement.order_by(BreakGlassRow.log_index)).all()
    ]
    return [v for v in found if v.status(service.terms_of(session, v, at)) is VersionStatus.BREAK_GLASS]
