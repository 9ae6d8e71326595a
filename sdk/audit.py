"""Verifying the whole log from the outside, and reading from it who generated what. Pure over an injected source.

The log is read through its C2SP tlog-tiles interface and nothing that the registry says about it is believed:
1. The checkpoint is signed by the trusted log key.
2. Every entry up to its size is fetched; the root recomputed from all of them is the signed one, so each is included.
3. The hash tiles that others are served agree with those entries.
4. Every checkpoint remembered from earlier is the root of a beginning of the same entries: nothing was rewritten.
5. Every entry parses; a generation is listed as its entries tell it; and it was permitted only for versions approved, and
   not ended, at that position, or opened by break-glass, and not expired, at its time.
Steps 1 to 4 raise; step 5 (`sdk.findings`) gives findings, because a report must be able to say what was wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sdk.errors import LogForked, ProofInvalid, VerificationError
from sdk.signing.signer import Signer, sign_envelope
from sdk.signing.trust import TrustRole, TrustRoot, verify_checkpoint, verify_role
from sdk.spec.api import GenerationView
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry
from sdk.spec.log_tiles import TILE_HEIGHT, TILE_WIDTH, parse_entry_bundle
from sdk.spec.merkle import leaf_hash, node_hash, root_of
from sdk.spec.recall import BlastRadiusPredicate
from sdk.spec.statements import AuditPredicate, encode_statement, parse_predicate, parse_statement

_APPROVING = frozenset({AuditEventType.APPROVAL_SIGNED, AuditEventType.RENEWAL_SIGNED})


class LogSource(Protocol):
    """Where tiles come from; `sdk.client.Client` is one, a mirror another."""

    def log_checkpoint(self) -> bytes: ...

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes: ...

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class VerifiedLog:
    """All entries of a log up to a signed checkpoint."""

    note: bytes
    checkpoint: LogCheckpoint
    entries: tuple[LogEntry, ...]


@dataclass(frozen=True, kw_only=True)
class GenerationAccount:
    """Who generated what, with which versions, under which approvals; every fact with its place in the log."""

    generation: RecordId
    application: PrincipalId
    permitted: bool
    recorded: bool
    at: datetime
    purpose: str
    versions: tuple[str, ...]
    approvals: tuple[tuple[int, PrincipalId, str], ...]  # log index, reviewer, version
    break_glasses: tuple[tuple[int, str, str], ...]  # of versions not approved then: log index, signers, version
    images: tuple[Digest, ...]
    intent_index: int
    result_index: int | None


def verify_log(source: LogSource, trust: TrustRoot, *, remembered: Sequence[bytes] = ()) -> VerifiedLog:
    """Fetch the whole log and verify it (steps 1 to 4); `remembered` are notes seen earlier.

    Raises:
        SignatureInvalid: the trusted log key did not sign a checkpoint.
        ProofInvalid: the entries or tiles do not lead to the signed root.
        LogForked: the log does not extend a remembered checkpoint.
        FormatError: an entry or a bundle is malformed.
    """
    note = source.log_checkpoint()
    checkpoint = verify_checkpoint(note, trust)  # 1
    contents = tuple(_contents(source, checkpoint.tree_size))
    leaves = [leaf_hash(content) for content in contents]
    if root_of(leaves) != checkpoint.root_hash:  # 2
        raise ProofInvalid(
            f"the {len(leaves)} entries served do not have the root that the log {checkpoint.origin} signed; "
            "an entry was changed, dropped or added"
        )
    _verify_tiles(source, leaves)  # 3
    for earlier in remembered:  # 4
        _require_beginning(verify_checkpoint(earlier, trust), leaves)
    return VerifiedLog(note=note, checkpoint=checkpoint, entries=tuple(parse_log_entry(each) for each in contents))


def account_for(log: VerifiedLog, generations: Sequence[GenerationView]) -> tuple[GenerationAccount, ...]:
    """Each generation with the approvals that were in force when it was permitted, from verified entries.

    Whether it is listed as its own entries tell it, `sdk.findings.find_contradictions` says.
    """
    return tuple(_account(log, view) for view in generations)


def sign_report(
    log: VerifiedLog, findings: Sequence[str], *, auditor: PrincipalId, at: datetime, signer: Signer
) -> Envelope:
    """The auditor's signed statement about the checkpoint that was verified."""
    predicate = AuditPredicate(
        auditor=auditor,
        origin=log.checkpoint.origin,
        tree_size=log.checkpoint.tree_size,
        findings=tuple(findings),
        verified_at=at,
    )
    return sign_envelope(encode_statement(predicate, subjects={"log-checkpoint": Digest.of(log.note)}), signer)


def verify_blast_radius(
    envelope: Envelope, trust: TrustRoot, *, concept: ConceptId, number: int, manifest: Digest
) -> BlastRadiusPredicate:
    """Return the report in `envelope` if the registry signed it about this very version.

    Raises:
        SignatureInvalid: no key trusted for status signed it.
        VerificationError: it is about something else.
    """
    verify_role(envelope, trust, TrustRole.STATUS)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    report = parse_predicate(statement, BlastRadiusPredicate)
    about = [subject.content for subject in statement.subject]
    if (report.concept, report.number, about) != (concept, number, [manifest]):
        raise VerificationError(f"asked for the blast radius of {concept}@{number}, found that of something else")
    return report


def _contents(source: LogSource, size: int) -> Iterator[bytes]:
    for index in range(0, size, TILE_WIDTH):
        width = min(TILE_WIDTH, size - index)
        bundle = source.log_entry_bundle(index // TILE_WIDTH, width=width)
        yield from parse_entry_bundle(bundle, width=width)


def _verify_tiles(source: LogSource, leaves: Sequence[bytes]) -> None:
    level, hashes = 0, list(leaves)
    while hashes:
        for start in range(0, len(hashes), TILE_WIDTH):
            expected = hashes[start : start + TILE_WIDTH]
            served = source.log_tile(level, start // TILE_WIDTH, width=len(expected))
            if served != b"".join(expected):
                raise ProofInvalid(f"tile {start // TILE_WIDTH} of level {level} does not agree with the log's entries")
        full = len(hashes) - len(hashes) % TILE_WIDTH
        level, hashes = level + 1, [_tile_root(hashes[i : i + TILE_WIDTH]) for i in range(0, full, TILE_WIDTH)]


def _tile_root(hashes: Sequence[bytes]) -> bytes:
    row = list(hashes)
    for _ in range(TILE_HEIGHT):
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def _require_beginning(earlier: LogCheckpoint, leaves: Sequence[bytes]) -> None:
    if earlier.tree_size > len(leaves):
        raise LogForked(
            f"the log showed {earlier.tree_size} entries before and {len(leaves)} now: entries were taken away"
        )
    if root_of(leaves[: earlier.tree_size]) != earlier.root_hash:
        raise LogForked(f"the first {earlier.tree_size} entries are not those seen before: history was rewritten")


def _account(log: VerifiedLog, view: GenerationView) -> GenerationAccount:
    signed = [
        (index, entry.actor, entry.subject)
        for index, entry in enumerate(log.entries[: view.intent_index])
        if entry.event in _APPROVING and entry.subject in view.versions
    ]
    opened = [
        (index, entry.facts.get("signers", ""), entry.subject)
        for index, entry in enumerate(log.entries[: view.intent_index])
        if entry.event is AuditEventType.VERSION_BREAK_GLASS and entry.subject in _unapproved(log, view)
    ]
    return GenerationAccount(
        generation=view.id,
        application=view.application,
        permitted=view.decision.permitted,
        recorded=view.result_index is not None,
        at=view.permitted_at,
        purpose=f"{view.intent.use.purpose}, {view.intent.use.territory}, {view.intent.use.channel}",
        versions=view.versions,
        approvals=tuple(signed),
        break_glasses=tuple(opened),
        images=tuple(image.digest for image in view.images),
        intent_index=view.intent_index,
        result_index=view.result_index,
    )


def _unapproved(log: VerifiedLog, view: GenerationView) -> set[str]:
    """The versions that were not approved when they were used."""
    before = log.entries[: view.intent_index]
    return set(view.versions) - {e.subject for e in before if e.event is AuditEventType.VERSION_APPROVED}
