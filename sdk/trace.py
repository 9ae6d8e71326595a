"""From a version back to who approved it, and under which consents and licences it stood at a moment: before a renewal others
than after it. Approvals count only with their proof."""

from __future__ import annotations

from datetime import datetime

from sdk.client import Client
from sdk.signing.receipts import verify_entry
from sdk.signing.trust import TrustRoot
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.explanation import CountedReviewer, RecordTerms, TracedVersion
from sdk.spec.ids import parse_version_ref
from sdk.spec.log_entry import AuditEventType
from sdk.verify import version_name


def trace(client: Client, name: str, at: datetime, trust: TrustRoot) -> TracedVersion:
    """Trace the version `tenant/name@number` as it stood at the moment `at`.

    Raises:
        VerificationError: an approval's proof does not hold.
    """
    ref = parse_version_ref(name)
    if ref.number is None:
        raise ValueError(f"{name} names no version by its number")
    return trace_bundle(client.get_version(ref.concept, ref.number, at), trust)


def trace_bundle(bundle: VersionBundle, trust: TrustRoot) -> TracedVersion:
    """Trace a version that is at hand. Raises like `trace`."""
    signed = AuditEventType.RENEWAL_SIGNED if bundle.renewal else AuditEventType.APPROVAL_SIGNED
    entries = [
        (verify_entry(held.receipt, trust, signed, version_name(bundle), held.envelope.digest), held.receipt.index)
        for held in bundle.approvals
    ]
    return TracedVersion(
        name=version_name(bundle),
        manifest=Digest.of(bundle.manifest),
        approvals=tuple(CountedReviewer(reviewer=entry.actor, log_index=index) for entry, index in entries),
        consents=tuple(
            RecordTerms(id=consent.id, digest=consent.digest, terms=consent.record.terms) for consent in bundle.consents
        ),
        licences=tuple(
            RecordTerms(id=licence.id, digest=licence.digest, terms=licence.grant.terms) for licence in bundle.licences
        ),
    )
