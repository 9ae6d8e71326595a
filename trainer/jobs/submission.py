"""From what was trained to versions in the registry: manifests, uploads, the signed training attestation.

Order, so that a crash anywhere can be gone on from:
1. Every artefact is uploaded; content addresses make a second upload nothing.
2. The manifests are settled in the database (`service.settle`), once for a job.
3. Each settled manifest is attested and submitted; the registry answers the same manifest with the same version, and
   Ed25519 signs the same statement with the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sdk.signing.signer import Signer, sign_envelope
from sdk.spec.api import VersionSubmission
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactDescriptor, ConceptManifest, TrainingRecord, encode_manifest, parse_manifest
from sdk.spec.statements import TrainingPredicate, encode_statement
from trainer.jobs.ports import RegistryPort, Trained, TrainedConcept, TrainedFile
from trainer.jobs.service import Attempt


def upload(file: TrainedFile, registry: RegistryPort) -> ArtefactDescriptor:
    """Upload one file and describe it."""
    content = file.path.read_bytes()
    return ArtefactDescriptor(
        name=file.name,
        role=file.role,
        media_type=file.media_type,
        size=len(content),
        digest=registry.put_blob(content),
    )


def make_manifest(
    attempt: Attempt,
    trained: Trained,
    concept: TrainedConcept,
    artefacts: Sequence[ArtefactDescriptor],
    *,
    finished_at: datetime,
) -> ConceptManifest:
    """The manifest of one concept of the job."""
    request = next(wanted for wanted in attempt.request.concepts if wanted.id == concept.concept)
    return ConceptManifest(
        concept=concept.concept,
        kind=request.kind,
        base_model=trained.base_model,
        embedding=concept.embedding,
        artefacts=tuple(artefacts),
        training=_record(attempt, trained, concept.concept, finished_at),
        consents=request.consents,
        licences=request.licences,
    )


def submit(manifest: bytes, *, registry: RegistryPort, signer: Signer, draft: bool) -> str:
    """Attest and submit the bytes of one manifest; returns the version as `tenant/name@number`."""
    parsed = parse_manifest(manifest)
    predicate = TrainingPredicate(concept=parsed.concept, record=parsed.training)
    statement = encode_statement(predicate, subjects={str(parsed.concept): parsed.digest})
    submission = VersionSubmission(manifest=manifest, attestation=sign_envelope(statement, signer), draft=draft)
    version = registry.submit_version(parsed.concept, submission)
    return f"{version.concept}@{version.number}"


def encode_all(manifests: Sequence[ConceptManifest]) -> dict[ConceptId, bytes]:
    """The canonical bytes of each manifest, by concept."""
    return {manifest.concept: encode_manifest(manifest) for manifest in manifests}


def _record(attempt: Attempt, trained: Trained, concept: ConceptId, finished_at: datetime) -> TrainingRecord:
    shown = [picture for picture in attempt.request.pictures if concept in picture.concepts]
    return TrainingRecord(
        job=attempt.job,
        requested_by=attempt.requested_by,
        software=trained.software,
        config=trained.config,
        seed=attempt.request.seed,
        rounds=trained.rounds,
        steps=trained.steps,
        pictures=tuple(dict.fromkeys(picture.digest for picture in shown)),
        learned_with=tuple(other.id for other in attempt.request.concepts if other.id != concept),
        started_at=attempt.started_at,
        finished_at=finished_at,
    )
