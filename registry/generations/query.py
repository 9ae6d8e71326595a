"""Generations and their decisions as they travel, permitted and refused, and who may read them.

Whoever policy lets read generations reads all of the tenant's; an application reads its own without asking.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations import records
from registry.generations.tables import GenerationResultRow, GenerationRow, GenerationVersionRow
from registry.paging import page_of
from registry.runtime import Runtime
from sdk.errors import NotFound
from sdk.policy.engine import require_permit
from sdk.spec.api import (
    DecisionPage,
    DecisionQuery,
    GenerationList,
    GenerationResult,
    GenerationView,
    RecordedDecision,
)
from sdk.spec.canonical import parse_wire
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Decision, PolicyContext, PolicyDomain, Role


def listed(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId | None, query: PageQuery
) -> GenerationList:
    """A page of the generations that the caller may read, oldest first; of one concept, if one is named.

    Raises:
        PolicyDenied: the caller may read none.
    """
    statement = select(GenerationRow).where(GenerationRow.tenant == caller.tenant)
    if (application := readable_of(runtime, caller)) is not None:
        statement = statement.where(GenerationRow.application == application)
    if concept:
        named = select(GenerationVersionRow.generation_id).where(GenerationVersionRow.concept_id == concept)
        statement = statement.where(GenerationRow.id.in_(named))
    rows, cursor = page_of(
        session, statement, query, by=[GenerationRow.log_index], key=lambda row: (row.log_index,), kinds=[int]
    )
    return GenerationList(generations=views_of(session, rows), next_cursor=cursor)


def one(session: Session, runtime: Runtime, caller: Caller, generation: RecordId) -> GenerationView:
    """One generation.

    Raises:
        PolicyDenied: the caller may read none.
        NotFound: there is none of this id that the caller may read.
    """
    application = readable_of(runtime, caller)
    row = session.get(GenerationRow, generation)
    if row is None or row.tenant != caller.tenant or application not in (None, row.application):
        raise NotFound(f"there is no generation {generation} that {caller.principal} may read")
    return views_of(session, [row])[0]


def decisions(session: Session, runtime: Runtime, caller: Caller, query: DecisionQuery) -> DecisionPage:
    """The decisions that the caller may read, permits and refusals, oldest first.

    Raises:
        PolicyDenied: the caller may read none.
    """
    statement = select(GenerationRow).where(
        GenerationRow.tenant == caller.tenant, GenerationRow.log_index > query.after
    )
    if (application := readable_of(runtime, caller)) is not None:
        statement = statement.where(GenerationRow.application == application)
    if query.since:
        statement = statement.where(GenerationRow.decided_at >= query.since)
    rows = session.scalars(statement.order_by(GenerationRow.log_index).limit(query.limit + 1)).all()
    page = rows[: query.limit]
    return DecisionPage(
        decisions=tuple(_recorded(row) for row in page),
        next_after=page[-1].log_index if len(rows) > query.limit else None,
    )


def readable_of(runtime: Runtime, caller: Caller) -> PrincipalId | None:
    """Whose generations the caller may read: its own, or everybody's (none). Raises `PolicyDenied`."""
    decision = _decide_reading(runtime, caller)
    if not decision.permitted and Role.APP in caller.roles:
        return caller.principal
    require_permit(decision)
    return None


def require_all_readable(runtime: Runtime, caller: Caller) -> None:
    """Return if the caller may read everybody's generations. Raises `PolicyDenied`."""
    require_permit(_decide_reading(runtime, caller))


def _decide_reading(runtime: Runtime, caller: Caller) -> Decision:
    context = PolicyContext(
        domain=PolicyDomain.AUDIT_ACCESS,
        action="read_generations",
        principal=caller.as_policy_principal,
        at=runtime.clock(),
    )
    return runtime.policy.evaluate(context)


def _recorded(row: GenerationRow) -> RecordedDecision:
    return RecordedDecision(
        generation=row.id,
        log_index=row.log_index,
        context=records.context_of(row),
        decision=records.decision_of(row),
    )


def views_of(session: Session, rows: Sequence[GenerationRow]) -> tuple[GenerationView, ...]:
    """These generations as they travel, in the order given."""
    ids = [row.id for row in rows]
    names: dict[RecordId, list[str]] = {generation: [] for generation in ids}
    statement = select(GenerationVersionRow).where(GenerationVersionRow.generation_id.in_(ids))
    for named in session.scalars(statement.order_by(GenerationVersionRow.position)):
        names[named.generation_id].append(f"{named.concept_id}@{named.number}")
    found = session.scalars(select(GenerationResultRow).where(GenerationResultRow.generation_id.in_(ids)))
    results = {result.generation_id: result for result in found}
    return tuple(_view(row, tuple(names[row.id]), results.get(row.id)) for row in rows)


def _view(row: GenerationRow, names: tuple[str, ...], result: GenerationResultRow | None) -> GenerationView:
    recorded = parse_wire(GenerationResult, result.content, f"result of {row.id}") if result else None
    return GenerationView(
        id=row.id,
        application=row.application,
        intent=records.intent_of(row),
        decision=records.decision_of(row),
        versions=names,
        break_glass=records.opened_by_break_glass(records.context_of(row)),
        permitted_at=row.decided_at,
        recorded_at=result.recorded_at if result else None,
        images=recorded.images if recorded else (),
        attention=recorded.attention if recorded else None,
        intent_index=row.log_index,
        result_index=result.log_index if result else None,
    )
