"""Acts among the verified entries of a log, and documents held to them: what public keys and tiles say about one act. Pure.

1. An entry is about the event, subject and document that were asked for (`acts_of`).
2. A document that is a signed statement is signed by a key that the trust root trusts for just that, at that place of
   the log (`verify_document`): an approval by a reviewer, a generation by its application, a grant or what the registry
   states by its decision key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sdk.errors import FormatError, ProofInvalid
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.canonical import encode_canonical, parse_json
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType, LogEntry

SIGNED_FOR: Final[Mapping[str, TrustRole]] = {
    "attestation": TrustRole.TRAINING,
    "certificate": TrustRole.LOG,
    "envelope": TrustRole.APPROVAL,
    "grant": TrustRole.DECISION,
    "stated": TrustRole.DECISION,
    "statement": TrustRole.GENERATION,
}
"""What the key is trusted for that signed a document, by the name under which an entry has its digest."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """An entry of a log, with its place."""

    index: int
    entry: LogEntry


def acts_of(
    entries: Sequence[LogEntry],
    *,
    event: AuditEventType | None = None,
    subject: str | None = None,
    document: bytes | None = None,
) -> tuple[Act, ...]:
    """The acts that are about all that is asked for, oldest first. Raises `ProofInvalid` when the log holds none."""
    digests = None if document is None else _digests(document)
    found = tuple(
        Act(index=index, entry=entry)
        for index, entry in enumerate(entries)
        if event in (None, entry.event)
        and subject in (None, entry.subject)
        and (digests is None or digests & set(entry.evidence.values()))
    )
    if not found:
        about = " ".join([event.value if event else "anything", f"of {subject}" if subject else ""]).strip()
        raise ProofInvalid(
            f"none of the {len(entries)} entries is {about}" + (" with this document" if document else "")
        )
    return found


def verify_document(document: bytes, act: Act, trust: TrustRoot) -> frozenset[PrincipalId]:
    """Who signed the document of an act, as the trust root has it; nobody where what is logged is no signed statement.

    Raises:
        ProofInvalid: the act is about another document.
        SignatureInvalid: nobody signed it who is trusted for that, at that place of the log.
    """
    digests = _digests(document)
    names = [name for name, digest in act.entry.evidence.items() if digest in digests]
    if not names:
        raise ProofInvalid(f"entry {act.index} is about another document")
    roles = {SIGNED_FOR[name] for name in names if name in SIGNED_FOR}
    signers: frozenset[PrincipalId] = frozenset()
    for role in sorted(roles):
        signers |= verify_role(parse_envelope(document), trust, role, entry=act.index)
    return signers


def _digests(document: bytes) -> set[Digest]:
    """The digest of a document as it is and, of JSON, in canonical form (RFC 8785), which is what entries name."""
    try:
        parsed = parse_json(document, "document")
    except FormatError:
        return {Digest.of(document)}
    return {Digest.of(document)} | ({Digest.of(encode_canonical(parsed))} if isinstance(parsed, dict) else set())
