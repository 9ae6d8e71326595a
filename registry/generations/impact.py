"""What was done with a version: by which applications, how often, what of it stands open, which images came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Integer, and_, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from registry.generations.tables import (
    ArtefactReleaseRow,
    GeneratedImageRow,
    GenerationResultRow,
    GenerationRow,
    GenerationVersionRow,
)
from registry.versions.version import Version
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.paging import PageQuery, encode_cursor, parse_cursor
from sdk.spec.policy import Effect
from sdk.spec.recall import OutstandingGrant

_PERMITTED: Final = GenerationRow.effect == Effect.PERMIT.value
_ASKED: Final = cast(cast(func.convert_from(GenerationRow.intent, "UTF8"), JSONB)["count"].astext, Integer)


@dataclass(frozen=True, kw_only=True)
class ApplicationUse:
    """What one application did with a version."""

    application: PrincipalId
    generations: int
    images_granted: int
    images_recorded: int


def uses_of(session: Session, version: Version) -> Sequence[ApplicationUse]:
    """What each application did with `version`, by application."""
    recorded = (
        select(func.count())
        .where(GeneratedImageRow.generation_id == GenerationRow.id)
        .correlate(GenerationRow)
        .scalar_subquery()
    )
    each = (
        select(GenerationRow.application, _ASKED.label("asked"), recorded.label("recorded"))
        .join(GenerationVersionRow, GenerationVersionRow.generation_id == GenerationRow.id)
        .where(_PERMITTED, _of(version))
        .subquery()
    )
    counted = select(each.c.application, func.count(), func.sum(each.c.asked), func.sum(each.c.recorded))
    rows = session.execute(counted.group_by(each.c.application).order_by(each.c.application)).all()
    return [
        ApplicationUse(application=application, generations=count, images_granted=asked, images_recorded=made)
        for application, count, asked, made in rows
    ]


def outstanding(session: Session, version: Version, now: datetime) -> Mapping[PrincipalId, Sequence[OutstandingGrant]]:
    """The grants of `version` that have no result and have not expired, by application, the first to expire first."""
    released = (
        select(func.count())
        .where(ArtefactReleaseRow.generation_id == GenerationRow.id)
        .correlate(GenerationRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(GenerationRow.application, GenerationRow.id, GenerationRow.expires_at, released)
        .join(GenerationVersionRow, GenerationVersionRow.generation_id == GenerationRow.id)
        .outerjoin(GenerationResultRow, GenerationResultRow.generation_id == GenerationRow.id)
        .where(_PERMITTED, _of(version), GenerationRow.expires_at > now, GenerationResultRow.generation_id.is_(None))
        .order_by(GenerationRow.expires_at, GenerationRow.id)
    ).all()
    found: dict[PrincipalId, list[OutstandingGrant]] = {}
    for application, generation, expires_at, count in rows:
        assert expires_at is not None  # a permit expires
        grant = OutstandingGrant(generation=generation, expires_at=expires_at, artefacts_released=count)
        found.setdefault(application, []).append(grant)
    return found


def images_of(session: Session, version: Version) -> tuple[Digest, ...]:
    """The digests of all images that were made with `version`."""
    statement = (
        select(GeneratedImageRow.digest)
        .join(GenerationVersionRow, GenerationVersionRow.generation_id == GeneratedImageRow.generation_id)
        .where(_of(version))
        .order_by(GeneratedImageRow.digest)
    )
    return tuple(session.scalars(statement))


def granted_to(
    session: Session, application: PrincipalId, query: PageQuery
) -> tuple[Sequence[tuple[ConceptId, int]], str | None]:
    """A page of the versions that an application was ever permitted to use, by concept and number."""
    order = (GenerationVersionRow.concept_id, GenerationVersionRow.number)
    statement = (
        select(*order)
        .join(GenerationRow, GenerationRow.id == GenerationVersionRow.generation_id)
        .where(_PERMITTED, GenerationRow.application == application)
        .distinct()
    )
    if begin := parse_cursor(query.cursor, str, int):
        statement = statement.where(tuple_(*order) > tuple_(*begin))
    rows = session.execute(statement.order_by(*order).limit(query.limit + 1)).all()
    shown = [(concept, number) for concept, number in rows[: query.limit]]
    return shown, encode_cursor(*shown[-1]) if len(rows) > query.limit else None


def was_granted(session: Session, application: PrincipalId, version: Version) -> bool:
    """Whether an application was ever permitted to use `version`."""
    permitted = (
        select(GenerationRow.id)
        .join(GenerationVersionRow, GenerationRow.id == GenerationVersionRow.generation_id)
        .where(_PERMITTED, GenerationRow.application == application, _of(version))
    )
    return bool(session.scalar(select(permitted.exists())))


def _of(version: Version) -> ColumnElement[bool]:
    return and_(GenerationVersionRow.concept_id == version.concept, GenerationVersionRow.number == version.number)
