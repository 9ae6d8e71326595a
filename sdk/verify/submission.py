"""Steps 1 to 6: everything but the approval, which is what a reviewer verifies before they sign."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sdk.errors import Erased, LogForked, ProofInvalid, VerificationError
from sdk.signing.receipts import verify_entry
from sdk.signing.recorded import verify_recorded
from sdk.signing.trust import TrustRole, TrustRoot, require_current, verify_checkpoint, verify_role
from sdk.spec.bundle import RenewalEvidence, VersionBundle
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.ids import PrincipalId, VersionRef
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.manifest import ConceptManifest, parse_manifest
from sdk.spec.recorded import SubmissionPredicate
from sdk.spec.renewal import records_named
from sdk.spec.statements import TrainingPredicate
from sdk.verify.values import VerifiedRenewal, VerifiedVersion, predicate_about, terms_of, version_name


def verify_submission(bundle: VersionBundle, *, ref: VersionRef, trust: TrustRoot, now: datetime) -> VerifiedVersion:
    """Verify everything but the approval (steps 1 to 6): what a reviewer does before they sign."""
    require_current(trust, now)  # 1
    notes, checkpoint = _verify_checkpoints(bundle, trust)  # 2
    manifest = _verify_manifest(bundle, ref)  # 3
    version = VerifiedVersion(
        bundle=bundle, manifest=manifest, digest=Digest.of(bundle.manifest), checkpoint=checkpoint, notes=notes
    )
    _verify_attestation(version, trust)  # 4
    version = replace(version, requester=_verify_submission(version, trust))  # 5
    return replace(version, renewal=_verify_terms(version, trust))  # 6


def _verify_checkpoints(bundle: VersionBundle, trust: TrustRoot) -> tuple[tuple[bytes, ...], LogCheckpoint]:
    beside = [bundle.request_receipt, bundle.break_glass.receipt if bundle.break_glass else None]
    beside += [bundle.renewal.request, bundle.renewal.renewed] if bundle.renewal else []
    receipts = [bundle.submission_receipt, *(approval.receipt for approval in bundle.approvals), *filter(None, beside)]
    notes = tuple(dict.fromkeys([bundle.checkpoint.encode(), *(receipt.checkpoint.encode() for receipt in receipts)]))
    roots: dict[int, bytes] = {}
    for note in notes:
        checkpoint = verify_checkpoint(note, trust)
        if roots.setdefault(checkpoint.tree_size, checkpoint.root_hash) != checkpoint.root_hash:
            raise LogForked(
                f"{version_name(bundle)} comes with two roots of the log at {checkpoint.tree_size} entries; "
                "keep both notes and tell the auditor"
            )
    return notes, verify_checkpoint(notes[0], trust)


def _verify_manifest(bundle: VersionBundle, ref: VersionRef) -> ConceptManifest:
    manifest = parse_manifest(bundle.manifest)
    if ref.manifest_digest:
        verify_digest(bundle.manifest, Digest(ref.manifest_digest), f"manifest of {bundle.concept}")
    if not bundle.concept == manifest.concept == ref.concept:
        raise VerificationError(f"asked for {ref.concept}, but the manifest is of {manifest.concept}")
    if ref.number not in (None, bundle.number):
        raise VerificationError(f"asked for {ref}, but the bundle is of version {bundle.number}")
    return manifest


def _verify_attestation(version: VerifiedVersion, trust: TrustRoot) -> None:
    envelope = version.bundle.training_attestation
    verify_role(envelope, trust, TrustRole.TRAINING, entry=version.bundle.submission_receipt.index)
    predicate = predicate_about(envelope, TrainingPredicate, version)
    if predicate.concept != version.manifest.concept or predicate.record != version.manifest.training:
        raise VerificationError(f"the training attestation of {version.name} describes another training")


def _verify_submission(version: VerifiedVersion, trust: TrustRoot) -> PrincipalId | None:
    """Who asked for the version's review: with its submission whoever had it trained, else whoever the log says."""
    bundle, receipt = version.bundle, version.bundle.submission_receipt
    entry = verify_entry(receipt, trust, AuditEventType.VERSION_SUBMITTED, version.name, version.digest)
    if entry.evidence.get("attestation") != bundle.training_attestation.digest:
        raise ProofInvalid(f"{version.name} was submitted with another training attestation than the one shown")
    said = {"owner": str(bundle.owner), "approvals_required": str(bundle.approvals_required)}
    for name, value in said.items():
        if entry.facts.get(name) != value:
            raise ProofInvalid(
                f"{name} of {version.name} is {value}, says the registry; its log says {entry.facts.get(name)}"
            )
    stated = verify_recorded(bundle.submission_statement, entry, receipt.index, trust, SubmissionPredicate)
    if stated and (stated.owner, stated.approvals_required, stated.attestation) != (
        bundle.owner,
        bundle.approvals_required,
        bundle.training_attestation.digest,
    ):
        raise ProofInvalid(f"the statement of the submission of {version.name} says something else than its log entry")
    if bundle.request_receipt:
        asked = AuditEventType.REVIEW_REQUESTED
        return verify_entry(bundle.request_receipt, trust, asked, version.name, version.digest).actor
    return None if "draft" in entry.facts else version.manifest.training.requested_by


def _verify_terms(version: VerifiedVersion, trust: TrustRoot) -> VerifiedRenewal | None:
    bundle, manifest = version.bundle, version.manifest
    named, consents = (manifest.consents, manifest.licences), [consent.id for consent in bundle.consents]
    if bundle.renewal:
        named = records_named(parse_log_entry(bundle.renewal.request.entry))
    if gone := sorted(set(bundle.erased or ()) & set(named[0]) - set(consents)):
        raise Erased(
            f"{version.name} was erased with the person it was of: consent {', '.join(gone)} can be read no more, and "
            "neither can its files; that it was, and its end, stay in the log ('imprimatur audit log')"
        )
    renewal = _verify_renewal(version, bundle.renewal, trust) if bundle.renewal else None
    if (sorted(consents), sorted(licence.id for licence in bundle.licences)) != (sorted(named[0]), sorted(named[1])):
        by = "its renewal" if bundle.renewal else "its manifest"
        raise VerificationError(f"the records that come with {version.name} are not those that {by} names")
    for consent in bundle.consents:
        verify_digest(encode_canonical(consent.record), consent.digest, f"consent {consent.id}")
    for licence in bundle.licences:
        verify_digest(encode_canonical(licence.grant), licence.digest, f"licence {licence.id}")
    return renewal


def _verify_renewal(version: VerifiedVersion, shown: RenewalEvidence, trust: TrustRoot) -> VerifiedRenewal:
    """What the log says of the renewal: both of its entries are about this version, the same round and these very terms."""
    request, renewed = shown.request, shown.renewed
    asked = verify_entry(request, trust, AuditEventType.RENEWAL_REQUESTED, version.name, version.digest)
    entries = [asked]
    if renewed:
        entries.append(verify_entry(renewed, trust, AuditEventType.VERSION_RENEWED, version.name, version.digest))
    required = asked.facts.get("approvals_required", "")
    terms = terms_of(version.bundle)
    if (
        any(entry.evidence.get("terms") != terms for entry in entries)
        or len({entry.facts.get("round") for entry in entries}) > 1
        or not required.isdecimal()
        or (renewed is not None and renewed.index <= request.index)
    ):
        raise ProofInvalid(f"the log does not say that {version.name} was renewed under the records that come with it")
    return VerifiedRenewal(
        requester=asked.actor,
        requested_index=request.index,
        approvals_required=int(required),
        renewed_index=renewed.index if renewed else None,
    )
