"""Steps 7 to 9: the version is approved, by reviewers whose approval counts."""

from __future__ import annotations

from dataclasses import replace

from sdk.errors import NotApproved, ProofInvalid, SignatureInvalid, ThresholdNotMet, VerificationError
from sdk.signing.receipts import verify_entry
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.bundle import ApprovalEvidence, VersionBundle, VersionStatus
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import minimum_approvals
from sdk.spec.statements import ApprovalPredicate
from sdk.spec.terms import AgeClass
from sdk.verify.values import VerifiedVersion, predicate_about, terms_of, version_name


def verify_approvals(version: VerifiedVersion, trust: TrustRoot) -> VerifiedVersion:
    """The version with those who approved it, each approval verified (steps 8 and 9); how many are needed is not asked here."""
    approvals = [_verify_approval(approval, version, trust) for approval in version.bundle.approvals]
    return replace(
        version,
        approvers=tuple(sorted({reviewer for reviewer, _ in approvals})),
        approval_indices=tuple(sorted(index for _, index in approvals)),
    )


def require_threshold(version: VerifiedVersion) -> None:
    """Refuse a version that fewer reviewers approved than it needs (step 8). Raises `ThresholdNotMet`."""
    minor = any(consent.record.age_class is AgeClass.MINOR for consent in version.bundle.consents)
    needed = max(
        version.bundle.approvals_required,
        version.renewal.approvals_required if version.renewal else 0,
        minimum_approvals(version.manifest.kind, minor=minor),
    )
    if len(version.approvers) < needed:
        raise ThresholdNotMet(
            f"{version.name} has approvals of {len(version.approvers)} of {needed} reviewers; another one must approve it"
        )


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


def whose_work(version: VerifiedVersion) -> frozenset[PrincipalId]:
    """Those whose approval of a version does not count. Raises `ProofInvalid` when nothing proves who asked for its review."""
    if version.requester is None:
        raise ProofInvalid(f"{version.name} was a draft, and nothing proves who asked for its review")
    by = {version.bundle.owner, version.manifest.training.requested_by, version.requester}
    return frozenset(by | ({version.renewal.requester} if version.renewal else set()))


def verify_approved(bundle: VersionBundle) -> None:
    """Refuse a version that is not approved at this moment, says the registry (step 7). Raises `NotApproved`."""
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
