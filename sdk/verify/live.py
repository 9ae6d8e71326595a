"""Steps 10 and 11: nothing was said against the version since, and its files are those of its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sdk.errors import DigestMismatch, NotApproved, StatusListInvalid
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRoot
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import verify_digest
from sdk.spec.manifest import ArtefactDescriptor
from sdk.spec.status_list import IN_BREAK_GLASS, StatusList, StatusListName, StatusPurpose
from sdk.verify.approval import not_approved_message
from sdk.verify.values import VerifiedVersion

CLOCK_SKEW: Final = timedelta(seconds=10)
"""By how much a client's clock may be behind the registry's; see docs/revocation.md for the bound that follows."""
_STATUS_OF: Final[Mapping[StatusPurpose, VersionStatus]] = {
    StatusPurpose.REVOCATION: VersionStatus.REVOKED,
    StatusPurpose.SUSPENSION: VersionStatus.SUSPENDED,
    StatusPurpose.REFRESH: VersionStatus.SUPERSEDED,
    StatusPurpose.MESSAGE: VersionStatus.SUBMITTED,
}


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
