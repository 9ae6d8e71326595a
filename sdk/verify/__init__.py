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

The files:

procedure   the steps of a version, in their order
submission  steps 1 to 6
approval    steps 7 to 9
live        steps 10 and 11
values      what they give
"""

from sdk.verify.approval import not_approved_message, verify_approvals, whose_work
from sdk.verify.live import CLOCK_SKEW, verify_artefact, verify_live
from sdk.verify.procedure import verify_version
from sdk.verify.submission import verify_submission
from sdk.verify.values import (
    VerifiedBreakGlass,
    VerifiedRenewal,
    VerifiedVersion,
    predicate_about,
    terms_of,
    version_name,
)

__all__ = [
    "CLOCK_SKEW",
    "VerifiedBreakGlass",
    "VerifiedRenewal",
    "VerifiedVersion",
    "not_approved_message",
    "predicate_about",
    "terms_of",
    "verify_approvals",
    "verify_artefact",
    "verify_live",
    "verify_submission",
    "verify_version",
    "version_name",
    "whose_work",
]
