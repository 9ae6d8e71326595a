"""What the rows of each table of evidence must be: one `Evidence` a table, read as a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Final

from sqlalchemy import LargeBinary, select, type_coerce
from sqlalchemy.orm import Session

from registry.approvals.tables import ReviewRow, RevocationRow, Verdict
from registry.concepts.tables import ConceptRow
from registry.consent.tables import ConsentRow, ConsentWithdrawalRow, LicenceRow, SubjectBindingRow
from registry.erasure.tables import ErasedKeyRow, ErasureRow
from registry.fsck.rows import Evidence
from registry.generations.tables import (
    ArtefactReleaseRow,
    GeneratedImageRow,
    GenerationResultRow,
    GenerationRow,
    GenerationVersionRow,
    ImageFingerprintRow,
    LicenceUseRow,
)
from registry.personal import ERASED, wrapped_key_of
from registry.reviews.tables import CommentRow
from registry.vault import vault_name
from registry.versions.tables import AliasRow, BreakGlassRow, ReviewRequestRow, VersionConsentRow, VersionRow
from sdk.spec.api import GenerationIntent, GenerationResult
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.erasure import ErasurePredicate
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import parse_manifest
from sdk.spec.policy import Decision, Effect, PolicyContext
from sdk.spec.statements import ApprovalPredicate, parse_predicate, parse_statement
from sdk.spec.terms import ConsentRecord, LicenceGrant


def _named(concept: ConceptId, number: int) -> str:
    return f"{concept}@{number}"


def _envelope(content: bytes) -> Envelope:
    envelope = parse_envelope(content)
    if encode_envelope(envelope) != content:
        raise ValueError("its envelope is not in canonical form")
    return envelope


def _consent(session: Session, row: ConsentRow) -> Iterator[str]:
    if row.id != RecordId.derive("con", row.tenant, row.digest):
        yield "its id does not follow from its digest"
    if row.content == ERASED:
        stored = session.scalar(select(type_coerce(ConsentRow.content, LargeBinary)).where(ConsentRow.id == row.id))
        name = vault_name(wrapped_key_of(stored or b"").wrapped)
        if name is None or session.get(ErasedKeyRow, name) is None:
            yield "its key is missing from the vault, and nobody erased it"
        return
    if Digest.of(row.content) != row.digest:
        yield "its record has another digest"
    elif parse_wire(ConsentRecord, row.content, "its record").subject != row.subject:
        yield "its subject is not the one in its record"


def _licence(session: Session, row: LicenceRow) -> Iterator[str]:
    if row.id != RecordId.derive("lic", row.tenant, row.digest):
        yield "its id does not follow from its digest"
    if Digest.of(row.content) != row.digest:
        yield "its grant has another digest"
    parse_wire(LicenceGrant, row.content, "its grant")


def _version(session: Session, row: VersionRow) -> Iterator[str]:
    manifest = parse_manifest(row.manifest)
    if (manifest.digest, manifest.concept) != (row.manifest_digest, row.concept_id):
        yield "its manifest is another one"
    if row.tenant != row.concept_id.tenant:
        yield "its tenant is not its concept's"
    same = (VersionConsentRow.concept_id == row.concept_id, VersionConsentRow.number == row.number)
    if set(session.scalars(select(VersionConsentRow.consent_id).where(*same))) != set(manifest.consents):
        yield "the consents that it rests on are not those of its manifest"


def _review(session: Session, row: ReviewRow) -> Iterator[str]:
    version = session.get(VersionRow, (row.concept_id, row.number))
    if version is None or (version.owner, version.trainer_of_record) != (row.owner, row.trainer_of_record):
        yield "its version has another owner or trainer of record"
    envelope = _envelope(row.envelope)
    if envelope.digest != row.envelope_digest:
        yield "its envelope has another digest"
    kind = parse_statement(envelope.payload, envelope.payload_type).predicate_type
    if (kind == ApprovalPredicate.predicate_type) is not (Verdict(row.verdict) is Verdict.APPROVE):
        yield f"its envelope does not say {row.verdict}"


def _break_glass(session: Session, row: BreakGlassRow) -> Iterator[str]:
    version = session.get(VersionRow, (row.concept_id, row.number))
    if version is None or (version.owner, version.trainer_of_record) != (row.owner, row.trainer_of_record):
        yield "its version has another owner or trainer of record"
    asked = session.get(ReviewRequestRow, (row.concept_id, row.number))
    if asked is None or asked.requested_by != row.requested_by:
        yield "somebody else asked for the review of its version"
    if _envelope(row.envelope).digest != row.envelope_digest:
        yield "its envelope has another digest"


def _revocation(session: Session, row: RevocationRow) -> Iterator[str]:
    if _envelope(row.envelope).digest != row.envelope_digest:
        yield "its envelope has another digest"


def _comment(session: Session, row: CommentRow) -> Iterator[str]:
    if Digest.of(row.content) != row.digest:
        yield "its content has another digest"


def _generation(session: Session, row: GenerationRow) -> Iterator[str]:
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
    counted = select(LicenceUseRow.images).where(LicenceUseRow.generation_id == row.id)
    if any(images != intent.count for images in session.scalars(counted)):
        yield "it counts under a licence with another number of images"


def _result(session: Session, row: GenerationResultRow) -> Iterator[str]:
    if Digest.of(row.content) != row.digest:
        yield "its content has another digest"
    result = parse_wire(GenerationResult, row.content, "its content")
    where, order = GeneratedImageRow.generation_id == row.generation_id, GeneratedImageRow.position
    images = session.execute(select(GeneratedImageRow.position, GeneratedImageRow.digest).where(where).order_by(order))
    if [tuple(image) for image in images] != [(i, image.digest) for i, image in enumerate(result.images)]:
        yield "its images are not findable as they are"
    owner = session.get(GenerationRow, row.generation_id)
    for table in (GeneratedImageRow, ImageFingerprintRow):
        tenants = session.scalars(select(table.tenant).where(table.generation_id == row.generation_id))
        if owner is None or set(tenants) - {owner.tenant}:
            yield "an image of it is another tenant's"
    held = select(ImageFingerprintRow.position, ImageFingerprintRow.bits).where(
        ImageFingerprintRow.generation_id == row.generation_id
    )
    stated = {(i, f.bits) for i, image in enumerate(result.images) for f in image.fingerprints or ()}
    if {(position, str(bits)) for position, bits in session.execute(held)} != stated:
        yield "its fingerprints are not those of its images"


def _erasure(session: Session, row: ErasureRow) -> Iterator[str]:
    certificate = _envelope(row.certificate)
    said = parse_predicate(parse_statement(certificate.payload, certificate.payload_type), ErasurePredicate)
    keys = session.scalars(select(ErasedKeyRow.name).where(ErasedKeyRow.erasure_id == row.id)).all()
    if (said.erasure, said.erased_at, said.keys) != (row.id, row.erased_at, len(keys)):
        yield "its certificate says something else"


EVIDENCE: Final[Sequence[Evidence]] = (
    Evidence(
        table=ConceptRow,
        events=(AuditEventType.CONCEPT_CREATED,),
        subject=lambda row: row.id,
        actor=lambda row: row.owner,
        at=lambda row: row.created_at,
        facts=lambda row: {"kind": row.kind},
    ),
    Evidence(
        table=ConsentRow,
        events=(AuditEventType.CONSENT_GIVEN,),
        subject=lambda row: row.id,
        actor=lambda row: row.recorded_by,
        at=lambda row: row.recorded_at,
        digests=lambda row: {"record": row.digest},
        inside=_consent,
    ),
    Evidence(
        table=LicenceRow,
        events=(AuditEventType.LICENCE_GRANTED,),
        subject=lambda row: row.id,
        actor=lambda row: row.recorded_by,
        at=lambda row: row.recorded_at,
        digests=lambda row: {"record": row.digest},
        inside=_licence,
    ),
    Evidence(
        table=ConsentWithdrawalRow,
        events=(AuditEventType.CONSENT_WITHDRAWN,),
        subject=lambda row: row.consent_id,
        actor=lambda row: row.withdrawn_by,
        at=lambda row: row.withdrawn_at,
    ),
    Evidence(
        table=SubjectBindingRow,
        events=(AuditEventType.SUBJECT_BOUND, AuditEventType.SUBJECT_RELEASED),
        subject=lambda row: row.principal,
        actor=lambda row: row.recorded_by,
        at=lambda row: row.recorded_at,
        digests=lambda row: {"record": Digest.of(row.content)},
    ),
    Evidence(
        table=VersionRow,
        events=(AuditEventType.VERSION_SUBMITTED,),
        subject=lambda row: _named(row.concept_id, row.number),
        actor=lambda row: row.submitted_by,
        at=lambda row: row.submitted_at,
        digests=lambda row: {"manifest": Digest.of(row.manifest), "attestation": _envelope(row.attestation).digest},
        facts=lambda row: {
            "owner": row.owner,
            "trainer_of_record": row.trainer_of_record,
            "approvals_required": str(row.approvals_required),
        },
        inside=_version,
    ),
    Evidence(
        table=ReviewRow,
        events=(AuditEventType.APPROVAL_SIGNED, AuditEventType.VERSION_REJECTED),
        subject=lambda row: _named(row.concept_id, row.number),
        actor=lambda row: row.reviewer,
        at=lambda row: row.reviewed_at,
        digests=lambda row: {"envelope": _envelope(row.envelope).digest},
        inside=_review,
        has_every_entry=False,  # an erasure rejects without a review
    ),
    Evidence(
        table=BreakGlassRow,
        events=(AuditEventType.VERSION_BREAK_GLASS,),
        subject=lambda row: _named(row.concept_id, row.number),
        actor=lambda row: row.opened_by,
        at=lambda row: row.opened_at,
        digests=lambda row: {"envelope": _envelope(row.envelope).digest, "terms": row.terms},
        facts=lambda row: {
            "signers": f"{row.first_signer} {row.second_signer}",
            "expires_at": row.expires_at.astimezone(UTC).isoformat(),
        },
        inside=_break_glass,
    ),
    Evidence(
        table=RevocationRow,
        events=(AuditEventType.VERSION_REVOKED,),
        subject=lambda row: _named(row.concept_id, row.number),
        actor=lambda row: row.revoked_by,
        at=lambda row: row.revoked_at,
        digests=lambda row: {"envelope": _envelope(row.envelope).digest},
        inside=_revocation,
        has_every_entry=False,  # an erasure revokes without a statement
    ),
    Evidence(
        table=CommentRow,
        events=(AuditEventType.REVIEW_COMMENTED,),
        subject=lambda row: _named(row.concept_id, row.number),
        actor=lambda row: row.author,
        at=lambda row: row.written_at,
        digests=lambda row: {"comment": Digest.of(row.content)},
        inside=_comment,
    ),
    Evidence(
        table=AliasRow,
        events=(AuditEventType.ALIAS_SET,),
        subject=lambda row: f"{row.concept_id}@{row.alias}",
        actor=lambda row: row.set_by,
        at=lambda row: row.set_at,
        facts=lambda row: {"number": str(row.number or 0)},
    ),
    Evidence(
        table=GenerationRow,
        events=(AuditEventType.GENERATION_PERMITTED, AuditEventType.GENERATION_DENIED),
        subject=lambda row: row.id,
        actor=lambda row: row.application,
        at=lambda row: row.decided_at,
        digests=lambda row: (
            {
                "intent": Digest.of(row.intent),
                "decision": Digest.of(row.decision),
                "context": Digest.of(row.context),
            }
            | ({"grant": Digest.of(row.compose_grant)} if row.compose_grant else {})
        ),
        inside=_generation,
    ),
    Evidence(
        table=GenerationResultRow,
        events=(AuditEventType.GENERATION_RECORDED,),
        subject=lambda row: row.generation_id,
        at=lambda row: row.recorded_at,
        digests=lambda row: {"result": Digest.of(row.content)},
        inside=_result,
    ),
    Evidence(
        table=ArtefactReleaseRow,
        events=(AuditEventType.ARTEFACT_RELEASED,),
        subject=lambda row: row.generation_id,
        at=lambda row: row.released_at,
        digests=lambda row: {"artefact": row.digest},
    ),
    Evidence(
        table=ErasureRow,
        events=(AuditEventType.SUBJECT_ERASED,),
        subject=lambda row: row.id,
        actor=lambda row: row.erased_by,
        at=lambda row: row.erased_at,
        digests=lambda row: {"certificate": Digest.of(row.certificate)},
        inside=_erasure,
    ),
)
