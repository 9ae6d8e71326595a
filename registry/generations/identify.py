"""Which image on record a picture is, or looks like: by the digest of its file, and by perceptual fingerprints.

Every fingerprint of the tenant is compared, so a search costs time in proportion to their number, and misses nothing
that is near. Fingerprints are the application's own statement, part of the result that it signed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.query import readable_of, views_of
from registry.generations.tables import GeneratedImageRow, GenerationRow, ImageFingerprintRow
from registry.runtime import Runtime
from sdk.spec.api import GenerationView
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint
from sdk.spec.identify import MAX_MATCHES, NEAR, IdentifyAnswer, IdentifyQuery, Likeness
from sdk.spec.ids import PrincipalId, RecordId

_BITS = BIT(FINGERPRINT_BITS)


def identify(session: Session, runtime: Runtime, caller: Caller, query: IdentifyQuery) -> IdentifyAnswer:
    """The image with this digest, then those with a fingerprint within `NEAR` bits, of what the caller may read.

    Raises:
        PolicyDenied: the caller may read none.
    """
    application = readable_of(runtime, caller)
    found: dict[tuple[RecordId, Digest], int | None] = {}
    for generation, image in session.execute(_readable(_by_digest(query.digest), caller, application)).all():
        found[generation, image] = None
    near: dict[tuple[RecordId, Digest], int] = {}
    for asked in query.fingerprints:
        statement = _readable(_by_fingerprint(asked), caller, application)
        for generation, image, distance in session.execute(statement).all():
            key = generation, image
            near[key] = min(distance, near.get(key, distance))
    for key in sorted(near, key=lambda each: near[each]):
        found.setdefault(key, near[key])
    views = _views(session, [generation for generation, _ in found][:MAX_MATCHES])
    matches = [
        Likeness(generation=views[generation], image=image, distance=distance)
        for (generation, image), distance in list(found.items())[:MAX_MATCHES]
    ]
    return IdentifyAnswer(matches=tuple(matches))


def _by_digest(digest: Digest) -> Select[*tuple[Any, ...]]:
    return select(GeneratedImageRow.generation_id, GeneratedImageRow.digest).where(GeneratedImageRow.digest == digest)


def _by_fingerprint(asked: Fingerprint) -> Select[*tuple[Any, ...]]:
    """Images with the distance of their nearest fingerprint, nearest first."""
    differing = ImageFingerprintRow.bits.op("#")(sql_cast(literal(asked.bits), _BITS))
    distance = func.bit_count(differing)
    nearest = func.min(distance)
    return (
        select(GeneratedImageRow.generation_id, GeneratedImageRow.digest, nearest)
        .join(
            ImageFingerprintRow,
            (ImageFingerprintRow.generation_id == GeneratedImageRow.generation_id)
            & (ImageFingerprintRow.position == GeneratedImageRow.position),
        )
        .where(distance <= NEAR)
        .group_by(GeneratedImageRow.generation_id, GeneratedImageRow.digest)
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
