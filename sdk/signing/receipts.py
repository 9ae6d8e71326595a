"""Verifying that an entry is in the log, and that it is the act it is shown for. Pure, no I/O."""

from __future__ import annotations

from sdk.errors import ProofInvalid
from sdk.signing.trust import TrustRoot, verify_checkpoint
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType, LogEntry, LogReceipt, parse_log_entry
from sdk.spec.merkle import leaf_hash, verify_inclusion


def verify_receipt(receipt: LogReceipt, trust: TrustRoot) -> LogEntry:
    """Return the entry that `receipt` proves to be in the log.

    Raises:
        ProofInvalid: the inclusion proof does not hold.
        SignatureInvalid: the log did not sign the receipt's checkpoint.
    """
    checkpoint = verify_checkpoint(receipt.checkpoint.encode(), trust)
    verify_inclusion(
        leaf=leaf_hash(receipt.entry),
        index=receipt.index,
        tree_size=checkpoint.tree_size,
        proof=receipt.inclusion,
        root=checkpoint.root_hash,
    )
    return parse_log_entry(receipt.entry)


def verify_entry(
    receipt: LogReceipt, trust: TrustRoot, event: AuditEventType, subject: str, evidence: Digest
) -> LogEntry:
    """Return the entry that `receipt` proves, which must be this act about this subject with this evidence.

    Raises:
        ProofInvalid: it is another one, or not in the log.
    """
    entry = verify_receipt(receipt, trust)
    if entry.event is not event or entry.subject != subject or evidence not in entry.evidence.values():
        raise ProofInvalid(f"entry {receipt.index} of the log is not {event.value} of {subject} with {evidence}")
    return entry
