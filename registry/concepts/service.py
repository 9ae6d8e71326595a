"""Creating and loading concepts. A concept of another tenant is not found, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.concepts.tables import ConceptRow
from registry.log import service as log
from registry.paging import page_of
from registry.runtime import Runtime
from sdk.errors import Conflict, NotFound, PermissionDenied
from sdk.spec.api import ConceptView, NewConcept
from sdk.spec.ids import ConceptId, PrincipalId, TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptKind
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Role


@dataclass(frozen=True, kw_only=True)
class Concept:
    """A concept as it was created."""

    id: ConceptId
    kind: ConceptKind
    title: str
    owner: PrincipalId
    created_at: datetime

    def view(self, approved_number: int | None) -> ConceptView:
        """The concept as it travels."""
        return ConceptView(
            id=self.id,
            kind=self.kind,
            title=self.title,
            owner=self.owner,
            created_at=self.created_at,
            approved_number=approved_number,
        )


def create(session: Session, runtime: Runtime, caller: Caller, new: NewConcept) -> Concept:
    """Record a concept that the caller owns.

    Raises:
        PermissionDenied: the caller is no owner, or of another tenant.
        Conflict: there is a concept of this name.
    """
    caller.require(Role.OWNER)
    if new.id.tenant != caller.tenant:
        raise PermissionDenied(f"{caller.principal} can create concepts of {caller.tenant}, not {new.id}; rename it")
    if session.get(ConceptRow, new.id):
        raise Conflict(f"concept {new.id} exists already; submit a version of it, or choose another name")
    index = log.append(
        session,
        runtime,
        event=AuditEventType.CONCEPT_CREATED,
        actor=caller.principal,
        subject=new.id,
        facts={"kind": new.kind.value},
    )
    row = ConceptRow(
        id=new.id,
        tenant=new.id.tenant,
        kind=new.kind.value,
        title=new.title,
        owner=caller.principal,
        created_at=runtime.clock(),
        log_index=index,
    )
    session.add(row)
    session.flush()
    return _concept(row)


def load(session: Session, tenant: TenantName, concept: ConceptId) -> Concept:
    """A concept of `tenant`. Raises `NotFound`."""
    return _concept(_found(session.get(ConceptRow, concept), tenant, concept))


def lock(session: Session, tenant: TenantName, concept: ConceptId) -> Concept:
    """Load a concept and hold it to the end of the transaction, so that its versions are numbered one at a time."""
    statement = select(ConceptRow).where(ConceptRow.id == concept).with_for_update(key_share=True)
    return _concept(_found(session.scalar(statement), tenant, concept))


def all_of(session: Session, tenant: TenantName) -> Sequence[Concept]:
    """Every concept of `tenant`, by name."""
    rows = session.scalars(select(ConceptRow).where(ConceptRow.tenant == tenant).order_by(ConceptRow.id))
    return [_concept(row) for row in rows]


def page(
    session: Session, tenant: TenantName, query: PageQuery, *, created_by: datetime | None = None
) -> tuple[Sequence[Concept], str | None]:
    """A page of the concepts of `tenant` by name, of those that were there at a moment if one is given."""
    statement = select(ConceptRow).where(ConceptRow.tenant == tenant)
    if created_by:
        statement = statement.where(ConceptRow.created_at <= created_by)
    rows, cursor = page_of(session, statement, query, by=[ConceptRow.id], key=lambda row: (row.id,), kinds=[str])
    return [_concept(row) for row in rows], cursor


def _found(row: ConceptRow | None, tenant: TenantName, concept: ConceptId) -> ConceptRow:
    if row is None or row.tenant != tenant:
        raise NotFound(f"{tenant} has no concept {concept}; create it, or correct its name")
    return row


def _concept(row: ConceptRow) -> Concept:
    return Concept(id=row.id, kind=ConceptKind(row.kind), title=row.title, owner=row.owner, created_at=row.created_at)
