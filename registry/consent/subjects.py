"""Who a caller is in the records: the pseudonyms of the persons they are, or speak for.

    pseudonyms_of(session, caller)      # frozenset of pseudonyms; empty for whoever is bound to none

Rules:
1. A principal is bound to a pseudonym by an owner or an administrator, with the document that lets them speak for
   somebody else. Binding and release are rows, never edits: the newest says whether it holds.
2. A subject finds what is about them and nothing else; what is not about them is not found.
3. The log knows principals and digests, never a pseudonym.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from registry.auth import Caller
from registry.consent.tables import ConsentRow, SubjectBindingRow
from registry.log import service as log
from registry.paging import page_of
from registry.personal import ERASED
from registry.runtime import Runtime
from sdk.errors import Conflict, NotFound, PermissionDenied
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Role
from sdk.spec.subjects import SubjectBinding, SubjectList, SubjectRelease, SubjectView
from sdk.spec.terms import Capacity, ConsentRecord
from sdk.spec.texts import Pseudonym

BINDERS = (Role.OWNER, Role.ADMIN)
READERS = (Role.OWNER, Role.ADMIN, Role.REVIEWER, Role.AUDITOR)


def pseudonyms_of(session: Session, caller: Caller) -> frozenset[Pseudonym]:
    """The pseudonyms that the caller is, or speaks for, now; none without the role of subject."""
    if Role.SUBJECT not in caller.roles:
        return frozenset()
    return frozenset(row.pseudonym for row in _bound(session, caller.tenant, caller.principal))


def concepts_of(session: Session, caller: Caller) -> frozenset[ConceptId]:
    """The concepts that consents about the caller cover, whether they still stand or not."""
    about = ConsentRow.subject.in_(pseudonyms_of(session, caller))
    rows = session.scalars(select(ConsentRow).where(ConsentRow.tenant == caller.tenant, about)).all()
    legible = (row for row in rows if row.content != ERASED)
    return frozenset(
        concept for row in legible for concept in parse_wire(ConsentRecord, row.content, f"consent {row.id}").covers
    )


def require_own(session: Session, caller: Caller, subject: Pseudonym | None, what: str) -> None:
    """Return if a record about `subject` is about the caller. Raises `NotFound` naming `what` (rule 2)."""
    if subject not in pseudonyms_of(session, caller):
        raise NotFound(f"there is no {what} about {caller.principal}; see the list of those that are")


def capacities_of(session: Session, caller: Caller, subject: Pseudonym) -> frozenset[Capacity]:
    """As what the caller speaks for the person behind a pseudonym, now; as nothing without the role of subject."""
    if Role.SUBJECT not in caller.roles:
        return frozenset()
    held = (_view(row).binding for row in _bound(session, caller.tenant, caller.principal))
    return frozenset(binding.capacity for binding in held if binding.pseudonym == subject)


def require_speaks(session: Session, caller: Caller, subject: Pseudonym | None, capacity: Capacity) -> None:
    """Return if the caller speaks for the person in this capacity. Raises `PermissionDenied`."""
    if subject is None or capacity not in capacities_of(session, caller, subject):
        raise PermissionDenied(f"{caller.principal} does not speak for this person as {capacity.value}")


def release_after(
    session: Session, runtime: Runtime, caller: Caller, pseudonym: Pseudonym, capacities: frozenset[Capacity]
) -> tuple[PrincipalId, ...]:
    """End the bindings to `pseudonym` in these capacities after a life event; returns whose."""
    return _release(session, runtime, caller, pseudonym, capacities, "a life event ended it")


def release_all(session: Session, runtime: Runtime, caller: Caller, pseudonym: Pseudonym, reason: str) -> None:
    """End every binding to `pseudonym`."""
    _release(session, runtime, caller, pseudonym, frozenset(Capacity), reason)


def bound_now(session: Session, tenant: TenantName) -> frozenset[Pseudonym]:
    """The persons for whom somebody speaks now."""
    return frozenset(row.pseudonym for row in _bound(session, tenant, None))


def bindings(session: Session, caller: Caller, query: PageQuery) -> SubjectList:
    """A page of the bindings that hold, by pseudonym: of all of the tenant, or the caller's own. Raises `PermissionDenied`."""
    caller.require(*READERS, Role.SUBJECT)
    own = None if caller.roles & set(READERS) else caller.principal
    newest = aliased(SubjectBindingRow, _newest_bindings(caller.tenant, own).subquery())
    rows, cursor = page_of(
        session,
        select(newest).where(newest.bound),
        query,
        by=[newest.pseudonym, newest.principal],
        key=lambda row: (row.pseudonym, row.principal),
        kinds=[str, str],
    )
    return SubjectList(subjects=tuple(_view(row) for row in rows), next_cursor=cursor)


def bind(session: Session, runtime: Runtime, caller: Caller, binding: SubjectBinding) -> SubjectBindingRow:
    """Bind a principal to a pseudonym; the same binding again is the one that holds.

    Raises:
        PermissionDenied: the caller may not bind, or the principal is of another tenant.
        Conflict: the principal is bound to it in another capacity, or under another document.
    """
    newest = _newest_to_change(session, caller, binding.pseudonym, binding.principal)
    content = encode_canonical(binding)
    if newest and newest.bound:
        if newest.content == content:
            return newest
        raise Conflict(f"{binding.principal} is bound to this pseudonym already, otherwise; release that first")
    facts = {"capacity": binding.capacity.value}
    return _add(session, runtime, caller, binding, newest, AuditEventType.SUBJECT_BOUND, facts)


def release(session: Session, runtime: Runtime, caller: Caller, ending: SubjectRelease) -> SubjectBindingRow:
    """End a binding. Raises `PermissionDenied`, or `NotFound` when there is none that holds."""
    newest = _newest_to_change(session, caller, ending.pseudonym, ending.principal)
    if newest is None or not newest.bound:
        raise NotFound(f"{ending.principal} is not bound to this pseudonym; see the list of those who are")
    return _add(session, runtime, caller, ending, newest, AuditEventType.SUBJECT_RELEASED, {})


def _release(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    pseudonym: Pseudonym,
    capacities: frozenset[Capacity],
    reason: str,
) -> tuple[PrincipalId, ...]:
    bound = [_view(row).binding for row in _bound(session, caller.tenant, None) if row.pseudonym == pseudonym]
    over = [binding.principal for binding in bound if binding.capacity in capacities]
    for principal in over:
        newest = _newest(session, caller.tenant, pseudonym, principal)
        ending = SubjectRelease(pseudonym=pseudonym, principal=principal, reason=reason)
        _add(session, runtime, caller, ending, newest, AuditEventType.SUBJECT_RELEASED, {})
    return tuple(over)


def _bound(session: Session, tenant: TenantName, principal: PrincipalId | None) -> Sequence[SubjectBindingRow]:
    """The bindings that hold, by pseudonym: of one principal, or of all."""
    return [row for row in session.scalars(_newest_bindings(tenant, principal)) if row.bound]


def _newest_bindings(tenant: TenantName, principal: PrincipalId | None) -> Select[SubjectBindingRow]:
    key = (SubjectBindingRow.pseudonym, SubjectBindingRow.principal)
    newest = select(SubjectBindingRow).where(SubjectBindingRow.tenant == tenant).ext(distinct_on(*key))
    if principal is not None:
        newest = newest.where(SubjectBindingRow.principal == principal)
    return newest.order_by(*key, SubjectBindingRow.place.desc())


def _newest_to_change(
    session: Session, caller: Caller, pseudonym: Pseudonym, principal: PrincipalId
) -> SubjectBindingRow | None:
    caller.require(*BINDERS)
    if principal.tenant != caller.tenant:
        raise PermissionDenied(f"{caller.principal} can bind principals of {caller.tenant}, not {principal}")
    return _newest(session, caller.tenant, pseudonym, principal)


def _newest(
    session: Session, tenant: TenantName, pseudonym: Pseudonym, principal: PrincipalId
) -> SubjectBindingRow | None:
    statement = select(SubjectBindingRow).where(
        SubjectBindingRow.tenant == tenant,
        SubjectBindingRow.pseudonym == pseudonym,
        SubjectBindingRow.principal == principal,
    )
    return session.scalar(statement.order_by(SubjectBindingRow.place.desc()).limit(1))


def _add(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    act: SubjectBinding | SubjectRelease,
    newest: SubjectBindingRow | None,
    event: AuditEventType,
    facts: dict[str, str],
) -> SubjectBindingRow:
    content = encode_canonical(act)
    row = SubjectBindingRow(
        tenant=caller.tenant,
        pseudonym=act.pseudonym,
        principal=act.principal,
        place=newest.place + 1 if newest else 1,
        bound=event is AuditEventType.SUBJECT_BOUND,
        content=content,
        recorded_by=caller.principal,
        recorded_at=runtime.clock(),
        log_index=log.append(
            session,
            runtime,
            event=event,
            actor=caller.principal,
            subject=act.principal,
            evidence={"record": Digest.of(content)},
            facts=facts,
        ),
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as exc:
        raise Conflict(f"the bindings of {act.principal} changed at the same moment; look again") from exc
    return row


def _view(row: SubjectBindingRow) -> SubjectView:
    binding = parse_wire(SubjectBinding, row.content, f"binding of {row.principal}")
    return SubjectView(binding=binding, since=row.recorded_at, bound_by=row.recorded_by)
