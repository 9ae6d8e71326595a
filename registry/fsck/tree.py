"""The log itself: every entry parses and is what its columns say, and every stored hash is the one that follows from them.

One pass over the entries in order, and one over the hashes; memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from registry.log.tables import LogCosignatureRow, LogEntryRow, LogNodeRow
from registry.runtime import Runtime
from sdk.errors import FormatError
from sdk.signing.cosign import cosigned_at
from sdk.spec.log_checkpoint import LogCheckpoint, SignedCheckpoint, parse_note_signatures
from sdk.spec.log_entry import LogEntry, encode_log_entry, parse_log_entry
from sdk.spec.merkle import EMPTY_ROOT, leaf_hash, node_hash

BATCH: Final = 1024  # entries read at once; a power of two


def faults_of_log(session: Session, runtime: Runtime) -> Iterator[str]:
    """What is wrong with entries, hashes and cosignatures."""
    cosigned = set(session.scalars(select(LogCosignatureRow.tree_size)))
    roots: dict[int, bytes] = {0: EMPTY_ROOT}
    peaks: list[tuple[int, bytes]] = []  # complete subtrees, widest first: level and hash
    size = 0
    for first, rows in _batches(session):
        made: dict[tuple[int, int], bytes] = {}
        for row in rows:
            if row.leaf_index != size:
                yield f"log: entry {size} is missing; the next is {row.leaf_index}"
                return
            yield from _faults_of_entry(row)
            _add(peaks, made, size, leaf_hash(row.content))
            size += 1
            if size in cosigned:
                roots[size] = _root(peaks)
        yield from _faults_of_nodes(session, first, size, made)
    expected = sum(size >> level for level in range(size.bit_length()))
    stored = session.scalar(select(func.count()).select_from(LogNodeRow)) or 0
    if stored != expected:
        yield f"log: {stored} hashes are stored, {size} entries have {expected}"
    yield from _faults_of_cosignatures(session, runtime, roots)


def _batches(session: Session) -> Iterator[tuple[int, list[LogEntryRow]]]:
    first = 0
    while True:
        statement = select(LogEntryRow).where(LogEntryRow.leaf_index >= first).order_by(LogEntryRow.leaf_index)
        rows = list(session.scalars(statement.limit(BATCH)))
        if not rows:
            return
        yield first, rows
        first = rows[-1].leaf_index + 1
        session.expunge_all()


def _faults_of_entry(row: LogEntryRow) -> Iterator[str]:
    try:
        entry = parse_log_entry(row.content)
    except FormatError as exc:
        yield f"log: entry {row.leaf_index} is none: {exc.message}"
        return
    if encode_log_entry(entry) != row.content:
        yield f"log: entry {row.leaf_index} is not in canonical form"
    said = (row.at, row.event, row.tenant, row.actor, row.subject)
    if said != (entry.at, entry.event.value, entry.actor.tenant, entry.actor, entry.subject):
        yield f"log: the columns of entry {row.leaf_index} say something else than its content"


def _add(peaks: list[tuple[int, bytes]], made: dict[tuple[int, int], bytes], index: int, leaf: bytes) -> None:
    level, digest = 0, leaf
    made[0, index] = leaf
    while peaks and peaks[-1][0] == level:
        digest = node_hash(peaks.pop()[1], digest)
        level += 1
        made[level, index >> level] = digest
    peaks.append((level, digest))


def _root(peaks: list[tuple[int, bytes]]) -> bytes:
    digest = peaks[-1][1]
    for _, left in reversed(peaks[:-1]):
        digest = node_hash(left, digest)
    return digest


def _faults_of_nodes(session: Session, first: int, end: int, made: dict[tuple[int, int], bytes]) -> Iterator[str]:
    ranges = [
        and_(LogNodeRow.level == level, LogNodeRow.node_index >= first >> level, LogNodeRow.node_index < end >> level)
        for level in range(end.bit_length())
    ]
    statement = select(LogNodeRow.level, LogNodeRow.node_index, LogNodeRow.hash).where(or_(*ranges))
    stored = {(level, index): content for level, index, content in session.execute(statement)}
    for (level, index), digest in made.items():
        if stored.get((level, index)) != digest:
            what = "does not follow from the entries" if (level, index) in stored else "is missing"
            yield f"log: hash {index} of level {level} {what}"


def _faults_of_cosignatures(session: Session, runtime: Runtime, roots: dict[int, bytes]) -> Iterator[str]:
    for row in session.scalars(select(LogCosignatureRow)):
        party, root = runtime.witnesses.witnesses.get(row.witness), roots.get(row.tree_size)
        name = f"log: the cosignature of {row.witness} over {row.tree_size} entries"
        if root is None:
            yield f"{name} is over more than there is"
            continue
        if party is None:
            yield f"{name} is of a witness that the registry's log policy does not name"
            continue
        checkpoint = LogCheckpoint(origin=runtime.trust_root.log_origin, tree_size=row.tree_size, root_hash=root)
        try:
            signed = SignedCheckpoint(checkpoint=checkpoint, signatures=parse_note_signatures(row.line))
        except FormatError as exc:
            yield f"{name} is none: {exc.message}"
            continue
        if cosigned_at(signed, party.key) != row.cosigned_at:
            yield f"{name} does not verify"


def entries_at(session: Session, indices: set[int]) -> dict[int, LogEntry]:
    """The entries with these indices that are there and can be read."""
    statement = select(LogEntryRow.leaf_index, LogEntryRow.content).where(LogEntryRow.leaf_index.in_(indices))
    found = {}
    for index, content in session.execute(statement):
        try:
            found[index] = parse_log_entry(content)
        except FormatError:
            continue  # told by `faults_of_log`
    return found
