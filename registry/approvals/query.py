"""A version with all its proofs, as a verifier needs it. Read in a transaction that appends nothing."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.approvals.tables import ReviewRow, Verdict
from registry.log.service import receipts
from registry.runtime import Runtime
from registry.versions import service as versions
from registry.versions.version import Version
from sdk.spec.bundle import ApprovalEvidence, VersionBundle
from sdk.spec.envelope import parse_envelope


def bundle(session: Session, runtime: Runtime, version: Version) -> VersionBundle:
    """Everything a verifier needs to decide about `version`; all receipts are under one checkpoint."""
    terms = versions.terms_of(session, version, runtime.clock())
    approvals = session.scalars(
        select(ReviewRow)
        .where(
            ReviewRow.concept_id == version.concept,
            ReviewRow.number == version.number,
            ReviewRow.verdict == Verdict.APPROVE.value,
        )
        .order_by(ReviewRow.log_index)
    ).all()
    submitted, *signed = receipts(session, runtime, [version.log_index, *(row.log_index for row in approvals)])
    return VersionBundle(
        concept=version.concept,
        number=version.number,
        status=version.status(terms),
        owner=version.owner,
        approvals_required=version.approvals_required,
        manifest=version.content,
        training_attestation=version.attestation,
        submission_receipt=submitted,
        approvals=tuple(
            ApprovalEvidence(envelope=parse_envelope(row.envelope), receipt=receipt)
            for row, receipt in zip(approvals, signed, strict=True)
        ),
        consents=terms.consents,
        licences=terms.licences,
        checkpoint=submitted.checkpoint,
    )
