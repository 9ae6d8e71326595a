"""The verification procedure: from a `VersionBundle` that proves nothing to a `VerifiedVersion`. Pure, no I/O.

Nothing in a bundle is believed because a registry sent it. The steps, in order; the tests carry the same numbers:
 1. The trust root is current.
 2. Every checkpoint is of the trusted log and signed by it; two of one size have one root.
 3. The manifest is canonical, and of the version that was asked for.
 4. The training service attested to this manifest, with a key that counts at the entry of its submission.
 5. Its submission is in the log, with that attestation, the owner and the number of approvals that it needs, and the
    registry's signed statement of it says the same; of a draft, who asked for its review as well.
 6. The consent and licence records are those that the manifest names, or that the log names in a renewal, each with its digest.
 7. The version is approved at this moment, says the registry; a renewal is in the log as one that holds.
 8. The threshold of distinct reviewers, none of them its trainer or owner or who asked for its review or renewal, signed this
    manifest, number and terms, with keys that count at the entries of their approvals; of a renewal, after it was asked for.
 9. Each of those approvals is in the log.
10. A signed status list of this registry and tenant, fresh at this moment, says nothing against it under these terms: the list
    knows a renewed version by its renewal's entry, and says of the entry before that another stands in its place (`verify_live`).
11. Every artefact, once fetched, has the digest and size that the manifest says (`verify_artefact`).
Instead of 7 to 9 a version may be opened by break-glass: `sdk.break_glass`.
Not done here: whether policy permits a use (`sdk.policy`), whether the log extends what this client saw before
(`sdk.cache.LogWatch`, with the notes in `VerifiedVersion.notes`), and whether the status list is not older than one that
it saw before (`sdk.cache.StatusWatch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sdk.errors import (
    DigestMismatch,
    Erased,
    LogForked,
    NotApproved,
    ProofInvalid,
    SignatureInvalid,
    StatusListInvalid,
    ThresholdNotMet,
    VerificationError,
)
from sdk.signing.receipts import verify_entry
from sdk.signing.recorded import verify_recorded
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRole, TrustRoot, require_current, verify_checkpoint, verify_role
from sdk.spec.bundle import ApprovalEvidence, RenewalEvidence, VersionBundle, VersionStatus
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId, VersionRef
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.manifest import ArtefactDescriptor, ConceptManifest, minimum_approvals, parse_manifest
from sdk.spec.recorded import SubmissionPredicate
from sdk.spec.renewal import records_named
from sdk.spec.statements import (
    ApprovalPredicate,
    Predicate,
    TrainingPredicate,
    parse_predicate,
    parse_statement,
    terms_digest,
)
from sdk.spec.status_list import IN_BREAK_GLASS, StatusList, StatusListName, StatusPurpose
from sdk.spec.terms import AgeClass

CLOCK_SKEW: Final = timedelta(seconds=10)
"""By how much a client's clock may be behind the registry's; see docs/revocation.md for the bound that follows."""
_STATUS_OF: Final[Mapping[StatusPurpose, VersionStatus]] = {
    StatusPurpose.REVOCATION: VersionStatus.REVOKED,
    StatusPurpose.SUSPENSION: VersionStatus.SUSPENDED,
    StatusPurpose.REFRESH: VersionStatus.SUPERSEDED,
    StatusPurpose.MESSAGE: VersionStatus.SUBMITTED,
}

_Predicate = TypeVar("_Predicate", bound=Predicate)


@dataclass(frozen=True, kw_only=True)
class VerifiedBreakGlass:
    """Two people's leave to use a version before its approval, with its proofs."""

    signers: tuple[PrincipalId, ...]
    reason: str
    expires_at: datetime
    log_index: int


@dataclass(frozen=True, kw_only=True)
class VerifiedRenewal:
    """Other terms than those of the manifest, as the log has them."""

    requester: PrincipalId
    requested_index: int
    approvals_required: int
    renewed_index: int | None  # none: it waits for reviewers


@dataclass(frozen=True, kw_only=True)
class VerifiedVersion:
    """A version whose proofs hold. `approvers` is empty, and there is no status list, unless `verify_version` made it.

    One that `sdk.break_glass` made has a `break_glass`, and not all the approvals that it needs.
    """

    bundle: VersionBundle
    manifest: ConceptManifest
    digest: Digest
    checkpoint: LogCheckpoint
    notes: tuple[bytes, ...]  # every checkpoint note that was verified
    requester: PrincipalId | None = None  # who asked for its review; none: a draft
    renewal: VerifiedRenewal | None = None  # none: its terms are those of the manifest
    approvers: tuple[PrincipalId, ...] = ()
    approval_indices: tuple[int, ...] = ()
    status_list: StatusList | None = None
    break_glass: VerifiedBreakGlass | None = None

    @property
    def live_until(self) -> datetime | None:
        """Until when it was found to be live; none unless it was."""
        if self.status_list is None:
            return None
        until = self.status_list.valid_until
        return min(until, self.break_glass.expires_at) if self.break_glass else until

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return version_name(self.bundle)


def version_name(bundle: VersionBundle) -> str:
    """`tenant/name@number`, as the log names a version."""
    return f"{bundle.concept}@{bundle.number}"


def verify_version(
    bundle: VersionBundle, *, ref: VersionRef, trust: TrustRoot, now: datetime, status_list: bytes
) -> VerifiedVersion:
    """Verify that `bundle` is the version that `ref` means, and that it is approved and live (steps 1 to 10).

    Raises:
        VerificationError: a step fails; each has its own class or message.
        FormatError: something in the bundle is not what it claims to be.
    """
    version = verify_submission(bundle, ref=ref, trust=trust, now=now)  # 1 to 6
    _verify_status(bundle)  # 7
    version = verify_approvals(version, trust)  # 8, 9
    minor = any(consent.record.age_class is AgeClass.MINOR for consent in bundle.consents)
    needed = max(
        bundle.approvals_required,
        version.renewal.approvals_required if version.renewal else 0,
        minimum_approvals(version.manifest.kind, minor=minor),
    )
    if len(version.approvers) < needed:
        raise ThresholdNotMet(
            f"{version.name} has approvals of {len(version.approvers)} of {needed} reviewers; another one must approve it"
        )
    return replace(version, status_list=verify_live(version, status_list, trust=trust, now=now))  # 10


def verify_approvals(version: VerifiedVersion, trust: TrustRoot) -> VerifiedVersion:
    """The version with those who approved it, each approval verified (steps 8 and 9); how many are needed is not asked here."""
    approvals = [_verify_approval(approval, version, trust) for approval in version.bundle.approvals]
    return replace(
        version,
        approvers=tuple(sorted({reviewer for reviewer, _ in approvals})),
        approval_indices=tuple(sorted(index for _, index in approvals)),
    )


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


def verify_live(version: VerifiedVersion, signed: bytes, *, trust: TrustRoot, now: datetime) -> StatusList:
    """Return the status list if it is the version's, fresh, and says nothing against it (step 10).

    Of a version that is opened by break-glass it may say just that, and its time must not be over.

    Raises:
        SignatureInvalid: no key trusted for status signed it.
        StatusListInvalid: it is another list, or it is stale, or it comes from the future.
        NotApproved: it says that the version has ended, or was never approved.
    """
    status = verify_status_list(signed, trust)
    expected = StatusListName.of(version.bundle, log_origin=trust.log_origin).urn
    if status.id != expected:
        raise StatusListInvalid(f"{version.name} needs the status list {expected}, found {status.id}")
    if now >= status.valid_until:
        raise StatusListInvalid(
            f"the status list of {version.name} ended at {status.valid_until}, it is {now}; fetch it again, and if that "
            "does not help, the registry is not reached"
        )
    if status.valid_from - now > CLOCK_SKEW:
        raise StatusListInvalid(
            f"the status list of {version.name} is from {status.valid_from}, but here it is {now}; set this clock"
        )
    raised = status.raised(version.bundle.standing_entry)
    if version.break_glass and now >= version.break_glass.expires_at:
        raise NotApproved(f"the break-glass of {version.name} expired at {version.break_glass.expires_at}; approve it")
    if raised and not (version.break_glass and raised == IN_BREAK_GLASS):
        raise NotApproved(not_approved_message(version.bundle, _STATUS_OF[raised[0]]))
    return status


def verify_artefact(descriptor: ArtefactDescriptor, content: bytes, *, about: str) -> bytes:
    """Return `content` if it is the artefact described (step 11). Raises `DigestMismatch`."""
    if len(content) != descriptor.size:
        raise DigestMismatch(
            f"{descriptor.name} of {about} should have {descriptor.size} bytes, but has {len(content)}; fetch it again"
        )
    return verify_digest(content, descriptor.digest, f"{descriptor.name} of {about}")


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
    renewal = _verify_renewal(version, bundle.renewal, trust) if bundle.renewal else None
    named, consents = (manifest.consents, manifest.licences), [consent.id for consent in bundle.consents]
    if bundle.renewal:
        named = records_named(parse_log_entry(bundle.renewal.request.entry))
    if gone := sorted(set(bundle.erased or ()) & set(named[0]) - set(consents)):
        raise Erased(
            f"{version.name} was erased with the person it was of: consent {', '.join(gone)} can be read no more, and "
            "neither can its files; that it was, and its end, stay in the log ('imprimatur audit log')"
        )
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


def _verify_status(bundle: VersionBundle) -> None:
    if bundle.status is not VersionStatus.APPROVED:
        raise NotApproved(not_approved_message(bundle, bundle.status))
    if bundle.renewal and bundle.renewal.renewed is None:
        raise NotApproved(f"{version_name(bundle)} is shown under terms that wait for reviewers; resolve it again")


def not_approved_message(bundle: VersionBundle, status: VersionStatus) -> str:
    """Why a version with a `status` other than approved is refused, and who can change that."""
    mends = {
        VersionStatus.DRAFT: "its review must be asked for, and a reviewer must approve it",
        VersionStatus.SUBMITTED: "a reviewer must approve it",
        VersionStatus.IN_REVIEW: "another reviewer must approve it",
        VersionStatus.SUSPENDED: "a consent does not hold; it must be confirmed anew, or the version renewed under another",
        VersionStatus.SUPERSEDED: "use the version that replaced it; if its terms were renewed, resolve it again",
        VersionStatus.EXPIRED: "the term of a consent or licence is over; its owner can have it renewed under others",
        VersionStatus.BREAK_GLASS: "two people opened it for a while, and it is used by its exact number only; a reviewer must approve it",
    }
    mend = mends.get(status, "this is final; the trainer can submit a new version")
    return f"{version_name(bundle)} is {status.value}, not approved: {mend}"


def whose_work(version: VerifiedVersion) -> frozenset[PrincipalId]:
    """Those whose approval of a version does not count. Raises `ProofInvalid` when nothing proves who asked for its review."""
    if version.requester is None:
        raise ProofInvalid(f"{version.name} was a draft, and nothing proves who asked for its review")
    by = {version.bundle.owner, version.manifest.training.requested_by, version.requester}
    return frozenset(by | ({version.renewal.requester} if version.renewal else set()))


def _verify_approval(approval: ApprovalEvidence, version: VerifiedVersion, trust: TrustRoot) -> tuple[PrincipalId, int]:
    predicate = predicate_about(approval.envelope, ApprovalPredicate, version)
    if predicate.reviewer not in verify_role(
        approval.envelope, trust, TrustRole.APPROVAL, entry=approval.receipt.index
    ):
        raise SignatureInvalid(f"the approval of {version.name} is not signed by its reviewer {predicate.reviewer}")
    if predicate.reviewer in whose_work(version):
        raise NotApproved(
            f"{predicate.reviewer} trained or owns {version.name}, or asked for its review, so their approval does not count"
        )
    if version.renewal and approval.receipt.index <= version.renewal.requested_index:
        raise NotApproved(f"{predicate.reviewer} approved {version.name} before its renewal was asked for")
    if (predicate.concept, predicate.number) != (version.bundle.concept, version.bundle.number):
        raise VerificationError(f"the approval by {predicate.reviewer} is not of {version.name}")
    if predicate.terms != terms_of(version.bundle):
        raise VerificationError(
            f"{predicate.reviewer} approved {version.name} under other terms; it must be reviewed anew"
        )
    logged_as = AuditEventType.RENEWAL_SIGNED if version.renewal else AuditEventType.APPROVAL_SIGNED
    verify_entry(approval.receipt, trust, logged_as, version.name, approval.envelope.digest)
    return predicate.reviewer, approval.receipt.index


def terms_of(bundle: VersionBundle) -> Digest:
    """The digest of the terms that an approval of this bundle signs."""
    records = (*(consent.digest for consent in bundle.consents), *(licence.digest for licence in bundle.licences))
    return terms_digest(records)


def predicate_about(envelope: Envelope, cls: type[_Predicate], version: VerifiedVersion) -> _Predicate:
    """The predicate of a statement, which must be about the version's manifest; signatures are checked elsewhere."""
    statement = parse_statement(envelope.payload, envelope.payload_type)
    if [subject.content for subject in statement.subject] != [version.digest]:
        raise VerificationError(f"a statement that came with {version.name} is about something else")
    return parse_predicate(statement, cls)
