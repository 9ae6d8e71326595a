"""Reading consents: one, or a page of them, now or at a moment; a subject finds those about them and no others. And all
licences of a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import history, subjects
from registry.consent.evidence import consents_of, evidence_of, licences_of
from registry.consent.tables import ConsentRow, LicenceRow
from registry.personal import ERASED
from registry.runtime import Runtime, require_past
from sdk.errors import NotFound
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.policy import Role
from sdk.spec.subjects import ConsentPage, ConsentQuery
from sdk.spec.terms import ConsentEvidence, LicenceEvidence

READERS: Final = (Role.OWNER, Role.ADMIN, Role.REVIEWER, Role.AUDITOR, Role.TRAINER)
"""Who reads all consents, whole."""
LIST_READERS: Final = (*READERS, Role.SUBJECT)


def one(session: Session, caller: Caller, consent: RecordId, at: datetime) -> ConsentEvidence:
    """A consent with its status now, at the moment `at`. Raises `NotFound`."""
    _require_shown(session, caller, consent)
    return consents_of(session, caller.tenant, [consent], at)[0]


def tenants(session: Session) -> tuple[TenantName, ...]:
    """Every tenant that has a consent or a licence, as far as the session may see them."""
    statement = union(select(ConsentRow.tenant), select(LicenceRow.tenant))
    return tuple(sorted(TenantName(name) for name in session.scalars(statement)))


def all_consents(session: Session, tenant: TenantName, at: datetime) -> Iterator[ConsentEvidence]:
    """Every consent of a tenant that was not erased, with its status at the moment `at`, by id."""
    rows = session.scalars(select(ConsentRow).where(ConsentRow.tenant == tenant).order_by(ConsentRow.id)).all()
    events = history.events_of(session, [row.id for row in rows])
    return (evidence_of(row, events.get(row.id, ()), at) for row in rows if row.content != ERASED)


def licences(session: Session, tenant: TenantName) -> tuple[LicenceEvidence, ...]:
    """Every licence of a tenant, by id."""
    ids = session.scalars(select(LicenceRow.id).where(LicenceRow.tenant == tenant).order_by(LicenceRow.id)).all()
    return licences_of(session, tenant, ids)


def one_as_of(session: Session, runtime: Runtime, caller: Caller, consent: RecordId, at: datetime) -> ConsentEvidence:
    """A consent as it stood at a moment that has come. Raises `NotFound`, also when it was recorded later; `InputError`."""
    require_past(runtime, at)
    _require_shown(session, caller, consent)
    row = session.get(ConsentRow, consent)
    if row is None or row.tenant != caller.tenant or row.recorded_at > at:
        raise NotFound(f"{caller.tenant} had no consent {consent} at {at.isoformat()}")
    return evidence_of(row, history.events_of(session, [consent], at).get(consent, ()), at)


def page(session: Session, runtime: Runtime, caller: Caller, query: ConsentQuery) -> ConsentPage:
    """The consents after `query.after` that the caller may see and that pass its filters, by id.

    Raises:
        PermissionDenied: the caller has no business with consents.
        InputError: the moment has not come.
    """
    caller.require(*LIST_READERS)
    statement = select(ConsentRow).where(ConsentRow.tenant == caller.tenant)
    if not caller.roles & set(READERS):
        statement = statement.where(ConsentRow.subject.in_(subjects.pseudonyms_of(session, caller)))
    if query.subject is not None:
        statement = statement.where(ConsentRow.subject == query.subject)
    if query.after is not None:
        statement = statement.where(ConsentRow.id > query.after)
    if query.as_of is not None:
        require_past(runtime, query.as_of)
        statement = statement.where(ConsentRow.recorded_at <= query.as_of)
    found = session.scalars(statement.order_by(ConsentRow.id).limit(query.limit + 1)).all()
    rows = found[: query.limit]
    events = history.events_of(session, [row.id for row in rows], query.as_of)
    at = query.as_of or runtime.clock()
    held = [evidence_of(row, events.get(row.id, ()), at) for row in rows if row.content != ERASED]
    shown = tuple(consent for consent in held if query.status in (None, consent.status))
    return ConsentPage(consents=shown, next_after=rows[-1].id if len(found) > query.limit else None)


def require_whole(session: Session, caller: Caller, consent: RecordId) -> None:
    """Return if the caller may read everything that happened to a consent, as whoever lists consents may.

    Raises:
        PermissionDenied: the caller has no business with consents.
        NotFound: the caller is a subject, and it is not about them.
    """
    caller.require(*LIST_READERS)
    if not caller.roles & set(READERS):
        _require_own(session, caller, consent)


def _require_shown(session: Session, caller: Caller, consent: RecordId) -> None:
    if not caller.is_member:
        _require_own(session, caller, consent)


def _require_own(session: Session, caller: Caller, consent: RecordId) -> None:
    row = session.get(ConsentRow, consent)
    subjects.require_own(session, caller, row.subject if row else None, f"consent {consent}")
