"""What attempts to generate and their results must be, beside the rows that belong to them: one function a table."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.consent.tables import LicenceRow
from registry.generations.tables import (
    GeneratedImageRow,
    GenerationResultRow,
    GenerationRow,
    GenerationVersionRow,
    ImageFingerprintRow,
    LicenceUseRow,
)
from registry.versions.renewal_tables import RenewalRow
from registry.versions.tables import VersionRow
from sdk.spec.api import GenerationIntent, GenerationResult
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.ledger import licences_fact
from sdk.spec.log_entry import LogEntry
from sdk.spec.manifest import parse_manifest
from sdk.spec.policy import Decision, Effect, PolicyContext
from sdk.spec.terms import LicenceGrant


def generation(session: Session, row: GenerationRow, entry: LogEntry) -> Iterator[str]:
    """Its columns, versions and counted uses are those of intent, decision and context."""
    intent = parse_wire(GenerationIntent, row.intent, "its intent")
    decision = parse_wire(Decision, row.decision, "its decision")
    context = parse_wire(PolicyContext, row.context, "its context")
    if (intent.idempotency_key, decision.effect.value, context.at) != (row.idempotency_key, row.effect, row.decided_at):
        yield "its columns say something else than intent, decision and context"
    if row.tenant != row.application.tenant or (row.expires_at is None) is (row.effect == Effect.PERMIT.value):
        yield "its tenant or its expiry does not fit"
    named = (
        select(VersionRow.manifest_digest)
        .join(
            GenerationVersionRow,
            (GenerationVersionRow.concept_id == VersionRow.concept_id)
            & (GenerationVersionRow.number == VersionRow.number),
        )
        .where(GenerationVersionRow.generation_id == row.id)
        .order_by(GenerationVersionRow.position)
    )
    if tuple(session.scalars(named)) != intent.manifests:
        yield "its versions are not those of its intent"
    places = select(GenerationVersionRow.position).where(GenerationVersionRow.generation_id == row.id)
    if sorted(session.scalars(places)) != list(range(len(intent.manifests))):
        yield "its versions are not in the order of its intent"
    yield from _faults_of_renewals(session, row, entry)
    counted = select(LicenceUseRow.licence_id, LicenceUseRow.images).where(LicenceUseRow.generation_id == row.id)
    limited = _limited(session, row) if decision.permitted else ()
    if sorted(map(tuple, session.execute(counted))) != [(licence, intent.count) for licence in limited]:
        yield "it counts under other licences, or another number of images, than its versions and its intent say"


def _limited(session: Session, row: GenerationRow) -> list[RecordId]:
    """The licences under which the generation was decided that limit how many images are made, in the order of their ids."""
    named: set[RecordId] = set()
    for used in session.scalars(select(GenerationVersionRow).where(GenerationVersionRow.generation_id == row.id)):
        version = session.get(VersionRow, (used.concept_id, used.number))
        renewed = session.get(RenewalRow, (used.concept_id, used.number, used.renewal))
        if renewed:
            named.update(map(RecordId, renewed.licences))
        elif version:
            named.update(parse_manifest(version.manifest).licences)
    grants = session.execute(select(LicenceRow.id, LicenceRow.content).where(LicenceRow.id.in_(named)))
    return sorted(licence for licence, content in grants if parse_wire(LicenceGrant, content, "its licence").max_images)


def _faults_of_renewals(session: Session, row: GenerationRow, entry: LogEntry) -> Iterator[str]:
    """The renewals that it counts under are those whose licences its entry names."""
    used = session.scalars(select(GenerationVersionRow).where(GenerationVersionRow.generation_id == row.id)).all()
    for version in used:
        renewed = session.get(RenewalRow, (version.concept_id, version.number, version.renewal))
        named = entry.facts.get(licences_fact(f"{version.concept_id}@{version.number}"))
        if named != (" ".join(renewed.licences) if renewed else None) or bool(version.renewal) is (renewed is None):
            yield f"it counts {version.concept_id}@{version.number} under renewal {version.renewal}, its entry does not"


def result(session: Session, row: GenerationResultRow, entry: LogEntry) -> Iterator[str]:
    """Its images and fingerprints are findable as it states them."""
    if Digest.of(row.content) != row.digest:
        yield "its content has another digest"
    result = parse_wire(GenerationResult, row.content, "its content")
    where, order = GeneratedImageRow.generation_id == row.generation_id, GeneratedImageRow.position
    columns = (GeneratedImageRow.position, GeneratedImageRow.digest, GeneratedImageRow.watermark)
    images = session.execute(select(*columns).where(where).order_by(order))
    stated = [(i, image.digest, image.watermark) for i, image in enumerate(result.images)]
    if [tuple(image) for image in images] != stated:
        yield "its images are not findable as they are"
    owner = session.get(GenerationRow, row.generation_id)
    for table in (GeneratedImageRow, ImageFingerprintRow):
        tenants = session.scalars(select(table.tenant).where(table.generation_id == row.generation_id))
        if owner is None or set(tenants) - {owner.tenant}:
            yield "an image of it is another tenant's"
    held = select(ImageFingerprintRow.position, ImageFingerprintRow.bits).where(
        ImageFingerprintRow.generation_id == row.generation_id
    )
    marks = {(i, f.bits) for i, image in enumerate(result.images) for f in image.fingerprints or ()}
    if {(position, str(bits)) for position, bits in session.execute(held)} != marks:
        yield "its fingerprints are not those of its images"
