"""Verifying a version that two people opened before its approval, in place of steps 7 to 9 of `sdk.verify`. Pure, no I/O.

 7. The reference names the version by its number or its digest: an alias or a bare name means approved versions only.
 8. The two who are named in one statement signed it, with keys that count at its entry; one of them at least neither owns
    nor trained nor asked for the review. It is about this manifest, number and terms; it ends `MAX_LIFE` after it was signed
    and after it was logged, or sooner, and that has not come. What approvals there are hold too.
 9. It is in the log.
10. The status list says that the version is in use under a break-glass, or approved meanwhile: a rejection ends it at once.
It is never quiet: `VerifiedVersion.break_glass`, the credentials of every image, the decision and the log all tell of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sdk.errors import NotApproved, ProofInvalid, SignatureInvalid, VerificationError
from sdk.signing.receipts import verify_entry
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.break_glass import MAX_HOURS, MAX_LIFE, BreakGlassPredicate
from sdk.spec.bundle import BreakGlassEvidence, VersionBundle, VersionStatus
from sdk.spec.envelope import Envelope
from sdk.spec.ids import VersionRef
from sdk.spec.log_entry import AuditEventType
from sdk.verify import (
    VerifiedBreakGlass,
    VerifiedVersion,
    predicate_about,
    terms_of,
    verify_approvals,
    verify_live,
    verify_submission,
    verify_version,
    whose_work,
)


def verify_usable(
    bundle: VersionBundle, *, ref: VersionRef, trust: TrustRoot, now: datetime, status_list: bytes
) -> VerifiedVersion:
    """Verify that a version may be used now: it is approved (`verify_version`), or opened by break-glass.

    Raises:
        VerificationError: a step fails; each has its own class or message.
        FormatError: something in the bundle is not what it claims to be.
    """
    if bundle.status is not VersionStatus.BREAK_GLASS:
        return verify_version(bundle, ref=ref, trust=trust, now=now, status_list=status_list)
    version = verify_submission(bundle, ref=ref, trust=trust, now=now)  # 1 to 6
    if ref.number is None and ref.manifest_digest is None:  # 7
        raise NotApproved(
            f"{ref} means {version.name}, which is not approved but opened by break-glass; whoever means it names it so"
        )
    version = verify_approvals(version, trust)
    opened = verify_opening(version, trust, now=now)  # 8, 9
    version = replace(version, break_glass=opened)
    return replace(version, status_list=verify_live(version, status_list, trust=trust, now=now))  # 10


def verify_opening(version: VerifiedVersion, trust: TrustRoot, *, now: datetime) -> VerifiedBreakGlass:
    """Return the break-glass of a version whose submission was verified (steps 8 and 9).

    Raises:
        ProofInvalid: there is none, or it is not in the log.
        NotApproved: it is over, or by those alone whose work the version is.
        SignatureInvalid, VerificationError: it is not by both, or about something else.
    """
    evidence = version.bundle.break_glass
    if evidence is None:
        raise ProofInvalid(f"{version.name} is opened by break-glass, says the registry, but shows no statement")
    predicate = read_opening(evidence.envelope, version, trust, entry=evidence.receipt.index)
    logged = _verify_logged(version, evidence, trust)
    if predicate.expires_at > logged + MAX_LIFE:
        raise VerificationError(
            f"the break-glass of {version.name} was logged at {logged} and ends at {predicate.expires_at}; "
            f"{MAX_HOURS} hours are the most"
        )
    if now >= predicate.expires_at:
        raise NotApproved(f"the break-glass of {version.name} expired at {predicate.expires_at}; approve it")
    return VerifiedBreakGlass(
        signers=predicate.signers,
        reason=predicate.reason,
        expires_at=predicate.expires_at,
        log_index=evidence.receipt.index,
    )


def read_opening(
    envelope: Envelope, version: VerifiedVersion, trust: TrustRoot, *, entry: int | None = None, by_both: bool = True
) -> BreakGlassPredicate:
    """The statement in `envelope`, which must be about exactly this version and signed by those it names, or by one of them.

    Raises like `verify_opening`.
    """
    predicate = predicate_about(envelope, BreakGlassPredicate, version)
    signed = verify_role(envelope, trust, TrustRole.APPROVAL, entry=entry)
    missing = set(predicate.signers) - signed
    if len(missing) > (0 if by_both else 1):
        raise SignatureInvalid(f"the break-glass of {version.name} is not signed by {', '.join(sorted(missing))}")
    if set(predicate.signers) <= whose_work(version):
        raise NotApproved(
            f"both who opened {version.name} own or trained it, or asked for its review; one of the two must be nobody of these"
        )
    if (predicate.concept, predicate.number) != (version.bundle.concept, version.bundle.number):
        raise VerificationError(f"the break-glass by {' and '.join(predicate.signers)} is not of {version.name}")
    if predicate.terms != terms_of(version.bundle):
        raise VerificationError(f"{version.name} was opened under other terms; it must be reviewed")
    return predicate


def _verify_logged(version: VerifiedVersion, evidence: BreakGlassEvidence, trust: TrustRoot) -> datetime:
    opened = AuditEventType.VERSION_BREAK_GLASS
    return verify_entry(evidence.receipt, trust, opened, version.name, evidence.envelope.digest).at
