"""All the steps of a version, in their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sdk.signing.trust import TrustRoot
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import VersionRef
from sdk.verify.approval import require_threshold, verify_approvals, verify_approved
from sdk.verify.live import verify_live
from sdk.verify.submission import verify_submission
from sdk.verify.values import VerifiedVersion


def verify_version(
    bundle: VersionBundle, *, ref: VersionRef, trust: TrustRoot, now: datetime, status_list: bytes
) -> VerifiedVersion:
    """Verify that `bundle` is the version that `ref` means, and that it is approved and live (steps 1 to 10).

    Raises:
        VerificationError: a step fails; each has its own class or message.
        FormatError: something in the bundle is not what it claims to be.
    """
    version = verify_submission(bundle, ref=ref, trust=trust, now=now)  # 1 to 6
    verify_approved(bundle)  # 7
    version = verify_approvals(version, trust)  # 8, 9
    require_threshold(version)
    return replace(version, status_list=verify_live(version, status_list, trust=trust, now=now))  # 10
