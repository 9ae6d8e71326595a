"""Receipts, and certificates of erasure: what one `.tlog-proof` file proves to somebody who holds public keys and nothing else. Pure, no I/O.

1. The checkpoint in the file is signed by a log of the policy, and cosigned by its quorum of witnesses.
2. The entry in the file has the place it claims in the tree that was signed.
3. The entry is the one that was asked about: event, subject, evidence (`require_about`). Without this step a receipt
   proves that something was logged, not what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sdk.errors import ProofInvalid
from sdk.signing.cosign import verify_note
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.erasure import ErasurePredicate
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry
from sdk.spec.log_policy import LogPolicy
from sdk.spec.log_proof import parse_log_proof
from sdk.spec.merkle import leaf_hash, verify_inclusion
from sdk.spec.statements import parse_predicate, parse_statement


@dataclass(frozen=True, kw_only=True)
class ProvenEntry:
    """An entry that is in a log, where, and who vouches for it."""

    entry: LogEntry
    index: int
    checkpoint: LogCheckpoint
    cosigned: Mapping[str, datetime]  # when, by the witness's name in the policy


def verify_log_proof(content: bytes, policy: LogPolicy) -> ProvenEntry:
    """Verify a `.tlog-proof` file (steps 1 and 2).

    Raises:
        FormatError: it is no such file, or its entry is none of ours.
        ProofInvalid: it is of another log, or the entry is not where the file says.
        SignatureInvalid: no log of the policy signed the checkpoint.
        ThresholdNotMet: the witnesses are no quorum.
    """
    proof = parse_log_proof(content)
    witnessed = verify_note(proof.checkpoint, policy)  # 1
    verify_inclusion(  # 2
        leaf=leaf_hash(proof.entry),
        index=proof.index,
        tree_size=witnessed.checkpoint.tree_size,
        proof=proof.inclusion,
        root=witnessed.checkpoint.root_hash,
    )
    return ProvenEntry(
        entry=parse_log_entry(proof.entry),
        index=proof.index,
        checkpoint=witnessed.checkpoint,
        cosigned=witnessed.cosigned,
    )


def require_about(
    proven: ProvenEntry,
    *,
    event: AuditEventType | None = None,
    subject: str | None = None,
    evidence: Digest | None = None,
) -> None:
    """Return if the entry is about what was asked for (step 3). Raises `ProofInvalid` saying what it is about."""
    entry = proven.entry
    found = f"entry {proven.index} is {entry.event.value} of {entry.subject}"
    if event is not None and entry.event is not event:
        raise ProofInvalid(f"expected a receipt of {event.value}, but {found}")
    if subject is not None and entry.subject != subject:
        raise ProofInvalid(f"expected a receipt about {subject}, but {found}")
    if evidence is not None and evidence not in entry.evidence.values():
        raise ProofInvalid(f"{found}, but of no evidence with digest {evidence}; it is another document")


def verify_erasure(certificate: Envelope, trust: TrustRoot) -> ErasurePredicate:
    """What a certificate of erasure says. Raises `SignatureInvalid` when the registry's log key did not sign it."""
    verify_role(certificate, trust, TrustRole.LOG)
    return parse_predicate(parse_statement(certificate.payload, certificate.payload_type), ErasurePredicate)
