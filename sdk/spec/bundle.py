"""The `VersionBundle`: everything a verifier needs to decide about one version, in one value.

`sdk.verify` checks it step by step; nothing in it is believed because the registry sent it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from sdk.spec.canonical import WireModel
from sdk.spec.envelope import Base64Bytes, Envelope
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.terms import ConsentEvidence, LicenceEvidence


class VersionStatus(StrEnum):
    """Where a version stands. The transitions are `registry.versions.lifecycle`."""

    DRAFT = "draft"  # stored; nobody has asked for its review yet
    SUBMITTED = "submitted"  # waits for reviewers
    IN_REVIEW = "in-review"  # at least one approval, threshold not reached
    APPROVED = "approved"
    REJECTED = "rejected"  # terminal
    SUSPENDED = "suspended"  # a consent does not hold; until it is confirmed anew, or another version takes its place
    SUPERSEDED = "superseded"  # terminal: a later version was approved
    REVOKED = "revoked"  # terminal
    EXPIRED = "expired"  # approved, but a term is over until it is renewed; told by the clock, never stored
    BREAK_GLASS = (
        "break-glass"  # waits for reviewers, and two people opened it for a while; told by the clock, never stored
    )


class ApprovalEvidence(WireModel):
    """A reviewer's signed approval, with the proof that it was logged."""

    envelope: Envelope
    receipt: LogReceipt


class BreakGlassEvidence(WireModel):
    """The statement of two people who opened a version before its approval, with the proof that it was logged."""

    envelope: Envelope
    receipt: LogReceipt


class RenewalEvidence(WireModel):
    """The version stands under other records than its manifest names: who asked for that, and that it holds (`sdk.spec.renewal`)."""

    request: LogReceipt
    renewed: LogReceipt | None = None  # none: it waits for reviewers


class VersionBundle(WireModel):
    """One version with its proofs."""

    concept: ConceptId
    number: int = Field(ge=1)
    status: VersionStatus
    owner: PrincipalId
    approvals_required: int = Field(ge=1)
    manifest: Base64Bytes  # canonical bytes of the ConceptManifest
    training_attestation: Envelope
    submission_receipt: LogReceipt
    submission_statement: Envelope | None = None  # the registry's; none for a version from before there were any
    request_receipt: LogReceipt | None = None  # of a version that was a draft: who asked for its review
    approvals: tuple[ApprovalEvidence, ...]
    break_glass: BreakGlassEvidence | None = None  # whether it still holds is told by the clock
    renewal: RenewalEvidence | None = None  # none: the records are those of the manifest
    consents: tuple[ConsentEvidence, ...]
    licences: tuple[LicenceEvidence, ...]
    erased: tuple[RecordId, ...] | None = None  # consents that the manifest names and nobody can read any more
    checkpoint: str = Field(max_length=16_384)  # the newest signed checkpoint note

    @property
    def standing_entry(self) -> int:
        """The entry of the log by which it stands as it does, and by which status lists know it: its renewal's, or its submission's."""
        renewed = self.renewal.renewed if self.renewal else None
        return (renewed or self.submission_receipt).index
