"""Reading consents: one, or a page of them; a subject finds those about them and no others. All licences of a tenant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import subjects
from registry.consent.service import consents_of, licences_of, not_erased
from registry.consent.tables import ConsentRow, LicenceRow
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.subjects import ConsentPage, ConsentQuery
from sdk.spec.terms import ConsentEvidence, LicenceEvidence


def one(session: Session, caller: Caller, consent: RecordId, at: datetime) -> ConsentEvidence:
    """A consent with its status at the moment `at`. Raises `NotFound`."""
    if not caller.is_member:
        row = session.get(ConsentRow, consent)
        subjects.require_own(session, caller, row.subject if row else None, f"consent {consent}")
    return consents_of(session, caller.tenant, [consent], at)[0]


def licences(session: Session, tenant: TenantName) -> tuple[LicenceEvidence, ...]:
    """Every licence of a tenant, by id."""
    ids = session.scalars(select(LicenceRow.id).where(LicenceRow.tenant == tenant).order_by(LicenceRow.id)).all()
    return licences_of(session, tenant, ids)


def page(session: Session, caller: Caller, query: ConsentQuery, at: datetime) -> ConsentPage:
    """The consents after `query.after` that the caller may see, by id, with their status at the moment `at`."""
    statement = select(ConsentRow).where(ConsentRow.tenant == caller.tenant)
    if not caller.is_member:
        statement = statement.where(ConsentRow.subject.in_(subjects.pseudonyms_of(session, caller)))
    if query.subject is not None:
        statement = statement.where(ConsentRow.subject == query.subject)
    if query.after is not None:
        statement = statement.where(ConsentRow.id > query.after)
    found = session.scalars(statement.order_by(ConsentRow.id).limit(query.limit + 1)).all()
    shown = [row.id for row in found[: query.limit]]
    consents = consents_of(session, caller.tenant, not_erased(session, shown), at)
    return ConsentPage(consents=consents, next_after=shown[-1] if len(found) > query.limit else None)
