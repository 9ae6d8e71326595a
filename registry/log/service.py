"""Writing the log and proving what is in it. Reading it by content is `query`.

Rules:
1. `append` runs in the transaction of the act it records, under one lock that is held until that transaction ends. So
   entries are committed in the order of their indices, without gaps, and an act is logged exactly if it happened.
2. A checkpoint covers committed entries only: nothing is signed in a transaction that appended, and what `receipt`
   proves was committed before. Append last in an act, so that the lock is held shortly.
3. Appending entry n reads and writes at most log2(n) + 1 hashes, in one call of `append_to_log` in the database; no tree
   is ever computed anew.
4. The lock is not held while the disk is waited for: an act that appended is committed first and flushed after, together
   with others (`registry.runtime`), and is acknowledged only then. What is signed, and tiles that may be cached, are of
   entries that are flushed (`require_flushed`); so a crash takes away nothing that anybody was given a proof of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.orm import Session

from registry.log.tables import LogCosignatureRow, LogEntryRow, LogNodeRow, StatementRow
from registry.log.tree import Node, NodeReader, consistency_proof, inclusion_proof, multiproof, root_hash
from registry.runtime import FLUSH, FLUSH_AFTER_COMMIT, Runtime
from sdk.errors import InputError, NotFound, ServiceError
from sdk.signing.signer import sign_envelope
from sdk.signing.trust import sign_checkpoint
from sdk.spec.api import ConsistencyProof
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, LogReceipt, encode_log_entry
from sdk.spec.log_policy import NO_QUORUM
from sdk.spec.recorded import STATEMENT

APPEND_LOCK: Final = 0x1091  # of pg_advisory_xact_lock; one log, one lock
_SIZES_LOOKED_AT: Final = 1000  # cosigned checkpoints, newest first, among which a quorum is looked for
_APPENDED: Final = "registry.log.appended"
_APPEND: Final = text("SELECT append_to_log(:lock, :content, :at, :event, :tenant, :actor, :subject)")
_HOLD_END: Final = text("SELECT pg_advisory_xact_lock(:lock)")
_IS_FLUSHED: Final = text("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")


def append(
    session: Session,
    runtime: Runtime,
    *,
    event: AuditEventType,
    actor: PrincipalId,
    subject: str,
    evidence: Mapping[str, Digest] | None = None,
    facts: Mapping[str, str] | None = None,
    statement: bytes | None = None,
) -> int:
    """Log one fact in the caller's transaction and return its leaf index.

    A `statement` about it is signed by the registry, named by the entry, and kept beside it.

    Raises:
        FormatError: the entry is over the limit of an entry.
    """
    stated = sign_envelope(statement, runtime.decision_signer) if statement else None
    entry = LogEntry(
        event=event,
        at=runtime.clock(),
        actor=actor,
        subject=subject,
        evidence=dict(evidence or {}) | ({STATEMENT: stated.digest} if stated else {}),
        facts=dict(facts or {}),
    )
    row = {
        "lock": APPEND_LOCK,
        "content": encode_log_entry(entry),
        "at": entry.at,
        "event": entry.event.value,
        "tenant": entry.actor.tenant,
        "actor": entry.actor,
        "subject": entry.subject,
    }
    session.flush()
    session.info[_APPENDED] = session.info[FLUSH_AFTER_COMMIT] = True
    index: int = session.scalars(_APPEND, row).one()
    if stated:
        session.add(StatementRow(log_index=index, tenant=actor.tenant, envelope=encode_envelope(stated)))
    return index


def statements_at(session: Session, indices: Collection[int]) -> dict[int, Envelope]:
    """What the registry stated about the acts of these entries, where it did."""
    rows = session.scalars(select(StatementRow).where(StatementRow.log_index.in_(indices)))
    return {row.log_index: parse_envelope(row.envelope) for row in rows}


def hold_end(session: Session) -> None:
    """Let nobody else append until the transaction ends (rule 1)."""
    session.execute(_HOLD_END, {"lock": APPEND_LOCK})


def require_flushed(session: Session) -> None:
    """Let the transaction end only once everything that it has seen is on disk (rule 4)."""
    if not session.scalar(_IS_FLUSHED):
        session.execute(FLUSH)


def receipt(runtime: Runtime, index: int) -> LogReceipt:
    """Prove that entry `index` is in the committed log; call it after the act's transaction.

    Raises:
        NotFound: the committed log has no such entry.
    """
    with runtime.transaction() as session:
        return receipts(session, runtime, [index])[0]


def receipts(
    session: Session, runtime: Runtime, indices: Sequence[int], *, size: int | None = None
) -> tuple[LogReceipt, ...]:
    """Receipts for several entries under one checkpoint, of `size` or of all entries, where nothing was appended.

    Raises:
        NotFound: the log has no such entry.
    """
    size = tree_size(session) if size is None else size
    note = checkpoint_note(session, runtime, size)
    return tuple(_receipt(session, index, size, note) for index in indices)


def file_receipt(session: Session, runtime: Runtime, index: int) -> LogReceipt:
    """A receipt to keep: under the newest checkpoint that the witnesses cosigned, if it covers the entry."""
    witnessed = witnessed_size(session, runtime)
    size = witnessed if witnessed is not None and index < witnessed else None
    return receipts(session, runtime, [index], size=size)[0]


def prove_all(session: Session, indices: Collection[int], size: int) -> tuple[bytes, ...]:
    """One proof that all these entries are in the log of `size` entries. Raises `NotFound` when one is not."""
    return multiproof(indices, size, node_reader(session))


def time_of(session: Session, index: int) -> datetime:
    """When entry `index` was logged. Raises `NotFound` when the log has none."""
    row = session.get(LogEntryRow, index)
    if row is None:
        raise NotFound(f"the log has {tree_size(session)} entries; there is no entry {index}")
    return row.at


def checkpoint_note(session: Session, runtime: Runtime, size: int | None = None) -> str:
    """The signed note over the first `size` entries, or over all; in a transaction that has appended nothing."""
    if session.info.get(_APPENDED):
        raise ServiceError("a checkpoint over entries that are not committed is never signed")
    size = tree_size(session) if size is None else size
    root = root_hash(size, node_reader(session))
    require_flushed(session)
    checkpoint = LogCheckpoint(origin=runtime.trust_root.log_origin, tree_size=size, root_hash=root)
    return sign_checkpoint(checkpoint, runtime.log_signer).decode() + cosignatures(session, size)


def cosignatures(session: Session, size: int) -> str:
    """The newest line of each witness over the checkpoint of `size` entries."""
    statement = (
        select(LogCosignatureRow.witness, LogCosignatureRow.line)
        .where(LogCosignatureRow.tree_size == size)
        .order_by(LogCosignatureRow.cosigned_at)
    )
    newest = {row.witness: row.line for row in session.execute(statement)}
    return "".join(newest[witness] for witness in sorted(newest))


def witnessed_size(session: Session, runtime: Runtime) -> int | None:
    """The size of the newest checkpoint that a quorum of the registry's witnesses cosigned, if there is one."""
    if runtime.witnesses.quorum == NO_QUORUM:
        return None
    statement = (
        select(LogCosignatureRow.tree_size, func.array_agg(LogCosignatureRow.witness))
        .group_by(LogCosignatureRow.tree_size)
        .order_by(LogCosignatureRow.tree_size.desc())
        .limit(_SIZES_LOOKED_AT)
    )
    met = (size for size, names in session.execute(statement) if runtime.witnesses.is_met_by(set(names)))
    return next(met, None)


def prove_consistency(session: Session, *, old_size: int, new_size: int) -> ConsistencyProof:
    """Prove that the log of `new_size` entries extends the log of `old_size`.

    Raises:
        InputError: the sizes are not in order.
        NotFound: the log is not that long.
    """
    if not 0 <= old_size <= new_size:
        raise InputError(f"a log never shrinks: there is no consistency from {old_size} to {new_size} entries")
    if new_size > (present := tree_size(session)):
        raise NotFound(f"the log has {present} entries; there is no size {new_size}")
    hashes = consistency_proof(old_size, new_size, node_reader(session))
    return ConsistencyProof(old_size=old_size, new_size=new_size, hashes=hashes)


def tree_size(session: Session) -> int:
    """The number of entries that `session` sees."""
    newest = session.scalar(select(func.max(LogEntryRow.leaf_index)))
    return 0 if newest is None else newest + 1


def node_reader(session: Session) -> NodeReader:
    """Reads stored nodes with one statement a question."""

    def read(nodes: Iterable[Node]) -> Mapping[Node, bytes]:
        wanted = set(nodes)
        if not wanted:
            return {}
        place = tuple_(LogNodeRow.level, LogNodeRow.node_index)
        rows = session.execute(
            select(LogNodeRow.level, LogNodeRow.node_index, LogNodeRow.hash).where(place.in_(wanted))
        )
        found = {Node(level, index): content for level, index, content in rows}
        if missing := wanted - found.keys():
            raise ServiceError(f"the log lacks {len(missing)} stored hashes, the first at {min(missing)}; restore it")
        return found

    return read


def _receipt(session: Session, index: int, size: int, note: str) -> LogReceipt:
    proof = inclusion_proof(index, size, node_reader(session))
    content = session.scalar(select(LogEntryRow.content).where(LogEntryRow.leaf_index == index))
    if content is None:
        raise NotFound(f"the log has {size} entries; there is no entry {index}")
    return LogReceipt(entry=content, index=index, inclusion=proof, checkpoint=note)
