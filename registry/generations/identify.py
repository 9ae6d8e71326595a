"""Which image on record a picture is, or looks like: by the digest of its file, its watermark, and its fingerprints.

Watermarks and fingerprints are the application's own statement, part of the result that it signed. Fingerprints are
looked up in the database: two that differ in at most 31 of 256 bits differ in at most one bit of one of their sixteen 16-bit
parts, and those parts are indexed (`near_fingerprints`, migration 0032). A part and its 16 neighbours are asked for; of the
crops of a picture, which are many, the part alone (`near_by_part`, migration 0036): a crop that differs in more than
15 bits can be missed, and then one of its neighbours is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, Select, String, column, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, BIT
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.query import readable_of, views_of
from registry.generations.tables import GeneratedImageRow, GenerationRow
from registry.runtime import Runtime
from sdk.spec.api import GenerationView
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint
from sdk.spec.identify import MAX_MATCHES, NEAR, IdentifyAnswer, IdentifyQuery, Likeness
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.watermark import WatermarkId

_Image = tuple[RecordId, Digest]
_IMAGE = (GeneratedImageRow.generation_id, GeneratedImageRow.digest)


def identify(session: Session, runtime: Runtime, caller: Caller, query: IdentifyQuery) -> IdentifyAnswer:
    """The image with this digest, those with one of the watermarks, then those with a fingerprint within `NEAR` bits.

    Raises:
        PolicyDenied: the caller may read none.
    """
    application = readable_of(runtime, caller)

    def found_by(statement: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.execute(_readable(statement, caller, application)).all()]

    facts: dict[_Image, dict[str, Any]] = {}
    for generation, image in found_by(_by_digest(query.digest)):
        facts.setdefault((generation, image), {})
    if query.watermarks:
        for generation, image, watermark in found_by(_by_watermark(query.watermarks)):
            facts.setdefault((generation, image), {"watermark": watermark})
    for asked, lookup in ((query.fingerprints, func.near_fingerprints), (query.crops, func.near_by_part)):
        for generation, image, distance in found_by(_by_fingerprint(asked, lookup)) if asked else ():
            known = facts.setdefault((generation, image), {"distance": distance})
            if known:  # the very file is told as nothing else
                known["distance"] = min(distance, known.get("distance", distance))
    first = list(facts.items())[:MAX_MATCHES]
    views = _views(session, [generation for (generation, _), _ in first])
    return IdentifyAnswer(
        matches=tuple(Likeness(generation=views[at], image=image, **said) for (at, image), said in first)
    )


def _by_digest(digest: Digest) -> Select[*tuple[Any, ...]]:
    return select(*_IMAGE).where(GeneratedImageRow.digest == digest)


def _by_watermark(watermarks: Sequence[WatermarkId]) -> Select[*tuple[Any, ...]]:
    marked = select(*_IMAGE, GeneratedImageRow.watermark).where(GeneratedImageRow.watermark.in_(watermarks))
    return marked.order_by(GeneratedImageRow.generation_id).limit(MAX_MATCHES)


def _by_fingerprint(asked: Sequence[Fingerprint], lookup: Any) -> Select[*tuple[Any, ...]]:
    """Images with the distance of their nearest fingerprint, nearest first."""
    bits = sql_cast([each.bits for each in asked], ARRAY(BIT(FINGERPRINT_BITS)))
    near = lookup(bits, NEAR).table_valued(
        column("generation_id", String), column("position", Integer), column("distance", Integer)
    )
    nearest = func.min(near.c.distance)
    return (
        select(*_IMAGE, nearest)
        .join(
            near,
            (near.c.generation_id == GeneratedImageRow.generation_id) & (near.c.position == GeneratedImageRow.position),
        )
        .group_by(*_IMAGE)
        .order_by(nearest, GeneratedImageRow.generation_id)
        .limit(MAX_MATCHES)
    )


def _readable(
    statement: Select[*tuple[Any, ...]], caller: Caller, application: PrincipalId | None
) -> Select[*tuple[Any, ...]]:
    statement = statement.join(GenerationRow, GenerationRow.id == GeneratedImageRow.generation_id)
    statement = statement.where(GenerationRow.tenant == caller.tenant)
    return statement if application is None else statement.where(GenerationRow.application == application)


def _views(session: Session, generations: list[RecordId]) -> dict[RecordId, GenerationView]:
    rows = session.scalars(select(GenerationRow).where(GenerationRow.id.in_(generations))).all()
    return {view.id: view for view in views_of(session, rows)}
