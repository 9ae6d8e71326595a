"""Finding generations by concept, application, outcome and time, newest first: what a person looks through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.query import readable_of, views_of
from registry.generations.tables import GenerationRow, GenerationVersionRow
from registry.runtime import Runtime
from sdk.spec.api import GenerationView
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.policy import Effect


@dataclass(frozen=True, kw_only=True)
class GenerationSearch:
    """What is looked for; a member that is none excludes nothing."""

    concept: ConceptId | None = None
    application: PrincipalId | None = None
    effect: Effect | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included
    before: int | None = None  # an index in the log: where the page before this one ended


@dataclass(frozen=True, kw_only=True)
class GenerationPage:
    """Some of what was found, and where to go on."""

    generations: tuple[GenerationView, ...]
    next_before: int | None


def find(
    session: Session, runtime: Runtime, caller: Caller, search: GenerationSearch, *, limit: int = 50
) -> GenerationPage:
    """The newest `limit` generations that the caller may read and that match.

    Raises:
        PolicyDenied: the caller may read none.
    """
    statement = _matching(search).where(GenerationRow.tenant == caller.tenant)
    if (application := readable_of(runtime, caller)) is not None:
        statement = statement.where(GenerationRow.application == application)
    rows = session.scalars(statement.order_by(GenerationRow.log_index.desc()).limit(limit + 1)).all()
    return GenerationPage(
        generations=views_of(session, rows[:limit]),
        next_before=rows[limit - 1].log_index if len(rows) > limit else None,
    )


def _matching(search: GenerationSearch) -> Select[GenerationRow]:
    statement = select(GenerationRow)
    if search.concept:
        named = select(GenerationVersionRow.generation_id).where(GenerationVersionRow.concept_id == search.concept)
        statement = statement.where(GenerationRow.id.in_(named))
    if search.application:
        statement = statement.where(GenerationRow.application == search.application)
    if search.effect:
        statement = statement.where(GenerationRow.effect == search.effect.value)
    if search.since:
        statement = statement.where(GenerationRow.decided_at >= search.since)
    if search.until:
        statement = statement.where(GenerationRow.decided_at < search.until)
    if search.before is not None:
        statement = statement.where(GenerationRow.log_index < search.before)
    return statement
