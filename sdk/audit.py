"""Verifying the whole log from the outside, and reading from it who generated what. Pure over an injected source.

The log is read through its C2SP tlog-tiles interface and nothing that the registry says about it is believed:
1. The checkpoint is signed by the trusted log key.
2. Every entry up to its size is fetched; the root recomputed from all of them is the signed one, so each is included.
3. The hash tiles that others are served agree with those entries.
4. Every checkpoint remembered from earlier is the root of a beginning of the same entries: nothing was rewritten.
5. Every entry parses; a generation is listed as its entries tell it; and it was permitted only for versions approved, and
   not ended, at that position, or opened by break-glass, and not expired, at its time.
Steps 1 to 4 raise; step 5 gives findings, because a report must be able to say what was wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from sdk.errors import LogForked, ProofInvalid, VerificationError
from sdk.signing.signer import Signer, sign_envelope
from sdk.signing.trust import TrustRole, TrustRoot, verify_checkpoint, verify_role
from sdk.spec.api import GenerationView
from sdk.spec.break_glass import MAX_LIFE
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry
from sdk.spec.log_tiles import TILE_HEIGHT, TILE_WIDTH, parse_entry_bundle
from sdk.spec.merkle import leaf_hash, node_hash, root_of
from sdk.spec.recall import BlastRadiusPredicate
from sdk.spec.statements import AuditPredicate, encode_statement, parse_predicate, parse_statement

_APPROVING = frozenset({AuditEventType.APPROVAL_SIGNED, AuditEventType.RENEWAL_SIGNED})


class _Standing(StrEnum):
    """How a version stands, as its entries tell."""

    WAITING = "waiting"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    ENDED = "ended"


_MOVES: Final[Mapping[tuple[_Standing, AuditEventType], _Standing]] = MappingProxyType(
    {
        (_Standing.WAITING, AuditEventType.VERSION_APPROVED): _Standing.APPROVED,
        (_Standing.APPROVED, AuditEventType.VERSION_SUSPENDED): _Standing.SUSPENDED,
        (_Standing.SUSPENDED, AuditEventType.VERSION_REINSTATED): _Standing.APPROVED,
        (_Standing.SUSPENDED, AuditEventType.VERSION_RENEWED): _Standing.APPROVED,
    }
)
"""What makes a version usable, or not for a while; whatever else is told of it changes nothing, or ends it for good."""
_ENDING: Final = frozenset(
    {AuditEventType.VERSION_REVOKED, AuditEventType.VERSION_SUPERSEDED, AuditEventType.VERSION_REJECTED}
)
_TOLD: Final = _ENDING | {event for _, event in _MOVES} | {AuditEventType.VERSION_BREAK_GLASS}


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

    Whether it is listed as its own entries tell it, `find_contradictions` says.
    """
    return tuple(_account(log, view) for view in generations)


def find_faults(log: VerifiedLog, generations: Sequence[GenerationView], *, tenant: TenantName) -> tuple[str, ...]:
    """What contradicts the rules, in words (step 5): generations that the log does not bear out, or the reverse.

    `generations` are all of `tenant`, listed after the log was fetched: those newer than its checkpoint are left to
    the next audit, and other tenants' entries to their auditors.
    """
    return (
        *find_contradictions(log, generations),
        *_faults_of_uses(log, generations),
        *_faults_of_entries(log, generations, tenant),
    )


def find_contradictions(log: VerifiedLog, generations: Sequence[GenerationView]) -> tuple[str, ...]:
    """What the registry lists of generations otherwise than their entries in the log tell it, in words."""
    return tuple(
        fault
        for view in generations
        if view.intent_index < len(log.entries)  # what is newer waits for the next audit
        for fault in _contradictions(log, view)
    )


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


def _contradictions(log: VerifiedLog, view: GenerationView) -> Iterator[str]:
    decided = AuditEventType.GENERATION_PERMITTED if view.decision.permitted else AuditEventType.GENERATION_DENIED
    if not _is_entry(log, view.intent_index, decided, view.id):
        yield f"{view.id}: entry {view.intent_index} of the log is not {decided.value} of it"
        return
    entry = log.entries[view.intent_index]
    told: dict[str, tuple[object, object]] = {
        "application": (entry.actor, view.application),
        "versions": (tuple(entry.facts.get("versions", "").split()), view.versions),
        "intent": (entry.evidence.get("intent"), Digest.of(encode_canonical(view.intent))),
    }
    if view.result_index is not None and view.result_index < len(log.entries):
        if not _is_entry(log, view.result_index, AuditEventType.GENERATION_RECORDED, view.id):
            yield f"{view.id}: entry {view.result_index} of the log is not generation:recorded of it"
        else:
            result = log.entries[view.result_index]
            told["number of images"] = (result.facts.get("images"), str(len(view.images)))
    for name, (logged, listed) in told.items():
        if logged != listed:
            yield f"{view.id}: the registry lists another {name} than the log tells ({listed}, not {logged})"


def _faults_of_uses(log: VerifiedLog, generations: Sequence[GenerationView]) -> Iterator[str]:
    for view in generations:
        if view.intent_index < len(log.entries) and view.decision.permitted:
            for version in view.versions:
                yield from _faults_of_use(log, view, version)


def _faults_of_use(log: VerifiedLog, view: GenerationView, version: str) -> Iterator[str]:
    """`version` must stand approved before the intent, or wait, and be open by a break-glass."""
    standing, last, opened = _Standing.WAITING, None, False
    at = log.entries[view.intent_index].at
    for entry in log.entries[: view.intent_index]:
        if entry.subject != version or entry.event not in _TOLD:
            continue
        last = entry.event
        if entry.event in _ENDING:
            standing = _Standing.ENDED
        elif entry.event is AuditEventType.VERSION_BREAK_GLASS:
            opened = at < _expiry(entry)
        else:
            standing = _MOVES.get((standing, entry.event), standing)
    if standing is not _Standing.APPROVED and not (standing is _Standing.WAITING and opened):
        was = "never approved" if last is None else f"last {last.value}"
        yield f"{view.id}: permitted at entry {view.intent_index} with {version}, which was {was}"


def _expiry(opened: LogEntry) -> datetime:
    """When a break-glass ends, as its entry says: never later than it may, and at once when that cannot be read."""
    try:
        return min(datetime.fromisoformat(opened.facts["expires_at"]), opened.at + MAX_LIFE)
    except (KeyError, ValueError, TypeError):
        return opened.at


def _faults_of_entries(log: VerifiedLog, generations: Sequence[GenerationView], tenant: TenantName) -> Iterator[str]:
    known = {str(view.id): view for view in generations}
    for index, entry in enumerate(log.entries):
        if entry.actor.tenant != tenant:
            continue
        view = known.get(entry.subject)
        if entry.event is AuditEventType.GENERATION_PERMITTED and view is None:
            yield f"{entry.subject}: permitted at entry {index}, but the registry does not list it"
        if entry.event is AuditEventType.GENERATION_RECORDED and view and view.result_index is None:
            yield f"{entry.subject}: its result is entry {index} of the log, but the registry lists none"


def _is_entry(log: VerifiedLog, index: int, event: AuditEventType, subject: str) -> bool:
    if not 0 <= index < len(log.entries):
        return False
    return log.entries[index].event is event and log.entries[index].subject == subject
