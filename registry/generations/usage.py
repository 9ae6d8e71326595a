"""How much was used, counted in the database over the recorded decisions and results; who may ask is `query`'s rule.

One row of the inner selection is one attempt, or one concept of an attempt when usage is told apart by concept or
version. Territory and images are columns that the database generates from the recorded intent and result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, String, cast, func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.query import readable_of
from registry.generations.tables import GenerationResultRow, GenerationRow, GenerationVersionRow
from registry.runtime import Runtime
from sdk.errors import InputError
from sdk.spec.policy import Effect
from sdk.spec.usage import UsageCount, UsageDimension, UsageQuery, UsageReport, UsageRow

MAX_ROWS: Final = 10_000  # of one report

_decided = func.timezone("UTC", GenerationRow.decided_at)
_DIMENSIONS: Final[dict[UsageDimension, Any]] = {
    UsageDimension.CONCEPT: GenerationVersionRow.concept_id,
    UsageDimension.VERSION: cast(GenerationVersionRow.concept_id, String)
    + "@"
    + cast(GenerationVersionRow.number, String),
    UsageDimension.APPLICATION: GenerationRow.application,
    UsageDimension.TERRITORY: GenerationRow.territory,
    UsageDimension.DAY: func.to_char(_decided, "YYYY-MM-DD"),
    UsageDimension.MONTH: func.to_char(_decided, "YYYY-MM"),
}
_OF_A_CONCEPT: Final = frozenset({UsageDimension.CONCEPT, UsageDimension.VERSION})


def usage(session: Session, runtime: Runtime, caller: Caller, query: UsageQuery) -> UsageReport:
    """The usage that the caller may read: everybody's, or an application's own.

    Raises:
        PolicyDenied: the caller may read none.
        InputError: the answer would have more than `MAX_ROWS` rows.
    """
    attempts = [GenerationRow.tenant == caller.tenant, *_matching(query)]
    if (application := readable_of(runtime, caller)) is not None:
        attempts.append(GenerationRow.application == application)
    rows = session.execute(_counted(attempts, query.by, query).limit(MAX_ROWS + 1)).all()
    if len(rows) > MAX_ROWS:
        raise InputError(f"the usage has more than {MAX_ROWS} rows; ask for a shorter period or by less")
    total = session.execute(_counted(attempts, (), query)).one()
    return UsageReport(
        by=query.by,
        rows=tuple(UsageRow(key=tuple(row[:-4]), count=_count(row)) for row in rows),
        total=_count(total),
    )


def _matching(query: UsageQuery) -> Iterator[ColumnElement[bool]]:
    if query.concept:
        named = select(GenerationVersionRow.generation_id).where(GenerationVersionRow.concept_id == query.concept)
        yield GenerationRow.id.in_(named)
    if query.application:
        yield GenerationRow.application == query.application
    if query.territory:
        yield GenerationRow.territory == query.territory
    if query.since:
        yield GenerationRow.decided_at >= query.since
    if query.until:
        yield GenerationRow.decided_at < query.until


def _counted(attempts: Sequence[ColumnElement[bool]], by: tuple[UsageDimension, ...], query: UsageQuery) -> Select[Any]:
    """Rows of the values of `by`, then the four numbers of a `UsageCount`."""
    each = _each(attempts, by, query).subquery()
    keys = [each.c[dimension.value] for dimension in by]
    permitted = each.c.effect == Effect.PERMIT.value
    return (
        select(
            *keys,
            func.count().filter(permitted),
            func.count().filter(~permitted),
            func.coalesce(func.sum(each.c.asked).filter(permitted), 0),
            func.coalesce(func.sum(each.c.recorded), 0),
        )
        .group_by(*keys)
        .order_by(*keys)
    )


def _each(attempts: Sequence[ColumnElement[bool]], by: tuple[UsageDimension, ...], query: UsageQuery) -> Select[Any]:
    statement = (
        select(
            *(_DIMENSIONS[dimension].label(dimension.value) for dimension in by),
            GenerationRow.effect.label("effect"),
            GenerationRow.asked.label("asked"),
            GenerationResultRow.images.label("recorded"),
        )
        .select_from(GenerationRow)
        .outerjoin(GenerationResultRow, GenerationResultRow.generation_id == GenerationRow.id)
        .where(*attempts)
    )
    if _OF_A_CONCEPT & set(by):
        statement = statement.join(GenerationVersionRow, GenerationVersionRow.generation_id == GenerationRow.id)
        if query.concept:
            statement = statement.where(GenerationVersionRow.concept_id == query.concept)
    return statement


def _count(row: Row[Any]) -> UsageCount:
    permitted, denied, granted, recorded = tuple(row)[-4:]
    return UsageCount(permitted=permitted, denied=denied, images_granted=granted, images_recorded=recorded)
