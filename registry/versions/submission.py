"""What the training service submits: checked whole, then stored as the next version of its concept.

The checks, in order:
1. The caller is a training service, and the manifest is of the concept in the path, which exists, with its kind.
2. The same manifest again is the same version; nothing is stored twice.
3. The caller signed the attestation with a key trusted for training; it is about this manifest, and says the same.
4. Every artefact is held by the tenant, with the size that the manifest says.
5. Every consent and licence is on record, live, and names the concept; whoever asked for the training is of the tenant.
6. Its embedding is a file of just the finite numbers that the manifest describes (`sdk.spec.embedding_file`).
Then its files are sealed under the version's own data key, and the version is stored: as a draft, or with the request
of its review, which is then that of whoever asked for the training.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry import blobs
from registry.auth import Caller
from registry.concepts import service as concepts
from registry.concepts.service import Concept
from registry.consent import evidence
from registry.consent import service as consent
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import sealed, service
from registry.versions.requests import record_request
from registry.versions.statements import read_statement, require_subject
from registry.versions.tables import VersionConsentRow, VersionRow, VersionStateRow
from registry.versions.version import Terms, Version
from sdk.errors import InputError, VerificationError
from sdk.policy.facts import concept_facts
from sdk.policy.risk import RiskClass
from sdk.signing.trust import TrustRole
from sdk.spec.api import VersionSubmission
from sdk.spec.bundle import VersionStatus
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import ConceptId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptManifest, parse_manifest
from sdk.spec.policy import Role
from sdk.spec.recorded import SubmissionPredicate
from sdk.spec.statements import TrainingPredicate, encode_statement


def submit(
    session: Session, runtime: Runtime, caller: Caller, concept_id: ConceptId, submission: VersionSubmission
) -> Version:
    """Store a version, or return the one that the same manifest made before.

    Raises:
        PermissionDenied, NotFound, InputError, FormatError, VerificationError: a check fails; see the module docstring.
    """
    caller.require(Role.TRAINING_SERVICE)  # 1
    manifest = parse_manifest(submission.manifest)
    if manifest.concept != concept_id:
        raise InputError(f"the manifest is of {manifest.concept}, but it was submitted as a version of {concept_id}")
    concept = concepts.lock(session, caller.tenant, concept_id)
    if manifest.kind is not concept.kind:
        raise InputError(f"{concept.id} is a {concept.kind.value}, but the manifest says {manifest.kind.value}")
    if known := service.find_by_digest(session, caller.tenant, manifest.digest):  # 2
        return known
    _verify_attestation(runtime, caller, submission.attestation, manifest)  # 3
    _require_artefacts(session, caller, manifest)  # 4
    risk = _require_terms(session, runtime, caller, concept, manifest)  # 5
    files = sealed.seal_uploads(session, runtime, caller, manifest)  # 6; before the log is held
    version = _store(session, runtime, caller, concept, manifest, submission, risk)
    sealed.keep(session, version.concept, version.number, files)
    return version


def _verify_attestation(runtime: Runtime, caller: Caller, envelope: Envelope, manifest: ConceptManifest) -> None:
    statement, predicate = read_statement(
        envelope, TrainingPredicate, trust=runtime.trust_root, role=TrustRole.TRAINING, signer=caller.principal
    )
    require_subject(statement, name=manifest.concept, digest=manifest.digest)
    if predicate.concept != manifest.concept or predicate.record != manifest.training:
        raise VerificationError(f"the training attestation of {manifest.concept} describes another training")


def _require_artefacts(session: Session, caller: Caller, manifest: ConceptManifest) -> None:
    for artefact in manifest.artefacts:
        held = blobs.held_size(session, caller.tenant, artefact.digest)
        if held != artefact.size:
            raise InputError(
                f"artefact {artefact.name} of {manifest.concept} has {held} bytes, the manifest says {artefact.size}"
            )


def _require_terms(
    session: Session, runtime: Runtime, caller: Caller, concept: Concept, manifest: ConceptManifest
) -> RiskClass:
    """The risk class of what rests on these terms."""
    requester = manifest.training.requested_by
    if requester.tenant != concept.id.tenant:
        raise InputError(f"the training of {concept.id} was requested by {requester}, who is of another tenant")
    consent.hold(session, manifest.consents)
    terms = Terms(
        consents=evidence.consents_of(session, caller.tenant, manifest.consents, runtime.clock()),
        licences=evidence.licences_of(session, caller.tenant, manifest.licences),
        at=runtime.clock(),
    )
    facts = concept_facts(
        concept=concept.id,
        number=0,
        kind=concept.kind,
        status="unsubmitted",
        owner=concept.owner,
        trainer_of_record=requester,
        consents=terms.consents,
        licences=terms.licences,
        at=terms.at,
    )
    for holds, fault in (
        (facts.covers_concept, f"a consent or licence in the manifest does not name {concept.id}"),
        (facts.consent_live, f"a consent of {concept.id} is withdrawn or outside its term"),
        (facts.licence_live, f"a licence of {concept.id} is outside its term"),
    ):
        if not holds:
            raise InputError(f"{fault}; {concept.owner} can record one, and the concept is trained again under it")
    return runtime.risk_classes.of(concept.kind, minor=facts.has_minor)


def _store(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    concept: Concept,
    manifest: ConceptManifest,
    submission: VersionSubmission,
    risk: RiskClass,
) -> Version:
    newest = session.scalar(select(func.max(VersionRow.number)).where(VersionRow.concept_id == concept.id))
    number = (newest or 0) + 1
    now = runtime.clock()
    stated = SubmissionPredicate(
        concept=concept.id,
        number=number,
        attestation=submission.attestation.digest,
        owner=concept.owner,
        trainer_of_record=manifest.training.requested_by,
        approvals_required=risk.approvals,
        risk_class=risk.name,
        recorded_by=caller.principal,
        recorded_at=now,
    )
    index = log.append(
        session,
        runtime,
        event=AuditEventType.VERSION_SUBMITTED,
        actor=caller.principal,
        subject=f"{concept.id}@{number}",
        evidence={"manifest": manifest.digest, "attestation": submission.attestation.digest},
        facts={
            "trainer_of_record": manifest.training.requested_by,
            "owner": concept.owner,
            "approvals_required": str(risk.approvals),
            "risk_class": risk.name,
        }
        | ({"draft": "true"} if submission.draft else {}),
        statement=encode_statement(stated, subjects={f"{concept.id}@{number}": manifest.digest}),
    )
    session.add(
        VersionRow(
            concept_id=concept.id,
            number=number,
            tenant=caller.tenant,
            manifest_digest=manifest.digest,
            manifest=submission.manifest,
            attestation=encode_envelope(submission.attestation),
            owner=concept.owner,
            trainer_of_record=manifest.training.requested_by,
            approvals_required=risk.approvals,
            submitted_by=caller.principal,
            submitted_at=now,
            log_index=index,
        )
    )
    session.flush()
    for record in dict.fromkeys(manifest.consents):
        session.add(VersionConsentRow(concept_id=concept.id, number=number, consent_id=record))
    if not submission.draft:
        record_request(session, runtime, concept.id, number, by=manifest.training.requested_by, log_index=index)
    status = VersionStatus.DRAFT if submission.draft else VersionStatus.SUBMITTED
    session.add(VersionStateRow(concept_id=concept.id, number=number, status=status.value, approvals=0, changed_at=now))
    session.flush()
    return service.load(session, caller.tenant, concept.id, number)
