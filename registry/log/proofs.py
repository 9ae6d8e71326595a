"""Proving what is in the log: receipts, checkpoints, consistency.

Rules:
1. A checkpoint covers committed entries only: nothing is signed in a transaction that appended, and what a receipt proves
   was committed before.
2. What is signed is of entries that are on disk (`service`, rule 4): the statements here wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.orm import Session

from registry.log.service import APPENDED, FLUSHED, tree_size
from registry.log.tables import LogCosignatureRow
from registry.log.tree import (
    Node,
    NodeReader,
    Span,
    consistency_proof,
    consistency_spans,
    given,
    inclusion_proof,
    inclusion_spans,
    multiproof,
    nodes_of,
    root_hash,
)
from registry.runtime import AFTER_COMMIT, Runtime, flush
from sdk.errors import InputError, NotFound, ServiceError
from sdk.signing.trust import sign_checkpoint
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import ConsistencyProof, LogReceipt
from sdk.spec.log_policy import NO_QUORUM
from sdk.spec.opening import GrownReceipt

_SIZES_LOOKED_AT: Final = 1000  # cosigned checkpoints, newest first, among which a quorum is looked for
_NODES: Final = text("""
    SELECT level, node_index, hash
      FROM unnest(CAST(:levels AS smallint[]), CAST(:positions AS bigint[])) AS wanted (level, node_index)
      JOIN log_nodes USING (level, node_index)
""")
_CONTENTS: Final = text("SELECT leaf_index, content FROM log_entries WHERE leaf_index = ANY(:indices)")
_COSIGNED: Final = """
    ARRAY(SELECT line
            FROM (SELECT DISTINCT ON (witness) witness, line -- the newest of each
                    FROM log_cosignatures
                   WHERE tree_size = :size
                   ORDER BY witness, cosigned_at DESC) AS newest
           ORDER BY witness COLLATE "C")
"""
_STANDING: Final = text(f"SELECT {FLUSHED} AS flushed, {_COSIGNED} AS cosignatures")
_PROOF: Final = text(f"""
    SELECT (SELECT content FROM log_entries WHERE leaf_index = :index) AS content,
           ARRAY(SELECT hash
                   FROM unnest(CAST(:levels AS smallint[]), CAST(:positions AS bigint[]))
                        WITH ORDINALITY AS wanted (level, node_index, place)
                   LEFT JOIN log_nodes USING (level, node_index)
                  ORDER BY place) AS hashes,
           CASE WHEN NOT {FLUSHED} THEN pg_logical_emit_message(true, 'imprimatur', '') END AS waited,
           {_COSIGNED} AS cosignatures
""")  # noqa: S608 - names of this file only


def receipt(runtime: Runtime, index: int, *, since: int | None = None) -> GrownReceipt:
    """Prove that entry `index` is in the committed log, as it was with that entry; call it after the act's transaction.

    It is proven as well that this log extends the one of `since` entries, unless that one is the longer.

    Raises:
        NotFound: the committed log has no such entry.
    """
    wanted = _Wanted.of(index, since)
    with runtime.look() as connection:
        found = wanted.read(connection)
    return wanted.receipt(runtime, found)


def receipt_to_come(
    session: Session, runtime: Runtime, index: int, *, since: int | None = None
) -> Callable[[], GrownReceipt]:
    """The `receipt` of an act of this transaction, to be called for after it: what waits for the disk then reads it, too."""
    wanted, found = _Wanted.of(index, since), []
    session.info[AFTER_COMMIT] = lambda connection: found.append(wanted.read(connection))
    return lambda: wanted.receipt(runtime, found[0])


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What a receipt of entry `index`, and of growth from `known` entries, is made of."""

    index: int
    known: int | None
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, index: int, since: int | None) -> _Wanted:
        size = index + 1
        known = since if since is not None and since <= size else None
        grown = consistency_spans(known, size) if known is not None else []
        nodes = nodes_of([Span(0, size), *inclusion_spans(index, size), *grown])
        return cls(index=index, known=known, nodes=tuple(nodes))

    def read(self, connection: Connection) -> Row[Any]:
        """All of it as of one moment, by a statement that ends when it is on disk."""
        asked = {"index": self.index, "size": self.index + 1, **_as_arrays(self.nodes)}
        return connection.execute(_PROOF, asked).one()

    def receipt(self, runtime: Runtime, found: Row[Any]) -> GrownReceipt:
        """The receipt. Raises `NotFound`."""
        if found.content is None:
            raise NotFound(f"there is no entry {self.index} in the log")
        size = self.index + 1
        stored = {node: content for node, content in zip(self.nodes, found.hashes, strict=True) if content}
        read = given(_complete(stored, self.nodes))
        return GrownReceipt(
            entry=found.content,
            index=self.index,
            inclusion=inclusion_proof(self.index, size, read),
            checkpoint=_note(runtime, size, read, found.cosignatures),
            growth=_growth(self.known, size, read) if self.known is not None else None,
        )


def receipts(
    session: Session, runtime: Runtime, indices: Sequence[int], *, size: int | None = None
) -> tuple[LogReceipt, ...]:
    """Receipts for several entries under one checkpoint, of `size` or of all entries, where nothing was appended.

    Raises:
        NotFound: the log has no such entry.
    """
    size = tree_size(session) if size is None else size
    contents = _contents(session, indices, size)
    nodes = nodes_of(chain([Span(0, size)], *(inclusion_spans(index, size) for index in indices)))
    read = given(node_reader(session)(nodes))
    note = _signed_note(session, runtime, size, read)
    return tuple(
        LogReceipt(entry=contents[index], index=index, inclusion=inclusion_proof(index, size, read), checkpoint=note)
        for index in indices
    )


def file_receipt(session: Session, runtime: Runtime, index: int) -> LogReceipt:
    """A receipt to keep: under the newest checkpoint that the witnesses cosigned, if it covers the entry."""
    witnessed = witnessed_size(session, runtime)
    size = witnessed if witnessed is not None and index < witnessed else None
    return receipts(session, runtime, [index], size=size)[0]


def prove_all(session: Session, indices: Collection[int], size: int) -> tuple[bytes, ...]:
    """One proof that all these entries are in the log of `size` entries. Raises `NotFound` when one is not."""
    return multiproof(indices, size, node_reader(session))


def checkpoint_note(session: Session, runtime: Runtime, size: int | None = None) -> str:
    """The signed note over the first `size` entries, or over all; in a transaction that has appended nothing."""
    size = tree_size(session) if size is None else size
    return _signed_note(session, runtime, size, node_reader(session))


def _signed_note(session: Session, runtime: Runtime, size: int, read: NodeReader) -> str:
    if session.info.get(APPENDED):
        raise ServiceError("a checkpoint over entries that are not committed is never signed")
    standing = session.execute(_STANDING, {"size": size}).one()
    if not standing.flushed:
        flush(session)
    return _note(runtime, size, read, standing.cosignatures)


def _note(runtime: Runtime, size: int, read: NodeReader, cosignatures: Sequence[str]) -> str:
    checkpoint = LogCheckpoint(origin=runtime.trust_root.log_origin, tree_size=size, root_hash=root_hash(size, read))
    return sign_checkpoint(checkpoint, runtime.log_signer).decode() + "".join(cosignatures)


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
    return _growth(old_size, new_size, node_reader(session))


def _growth(old_size: int, new_size: int, read: NodeReader) -> ConsistencyProof:
    hashes = consistency_proof(old_size, new_size, read)
    return ConsistencyProof(old_size=old_size, new_size=new_size, hashes=hashes)


def node_reader(session: Session) -> NodeReader:
    """Reads stored nodes with one statement a question."""

    def read(nodes: Iterable[Node]) -> Mapping[Node, bytes]:
        wanted = set(nodes)
        rows = session.execute(_NODES, _as_arrays(wanted)) if wanted else ()
        found = {Node(level, index): content for level, index, content in rows}
        return _complete(found, wanted)

    return read


def _as_arrays(nodes: Collection[Node]) -> dict[str, list[int]]:
    return {"levels": [node.level for node in nodes], "positions": [node.position for node in nodes]}


def _complete(found: Mapping[Node, bytes], wanted: Collection[Node]) -> Mapping[Node, bytes]:
    if missing := set(wanted) - found.keys():
        raise ServiceError(f"the log lacks {len(missing)} stored hashes, the first at {min(missing)}; restore it")
    return found


def _contents(session: Session, indices: Collection[int], size: int) -> dict[int, bytes]:
    """The exact bytes of these entries. Raises `NotFound` when the first `size` entries lack one."""
    found = {row.leaf_index: row.content for row in session.execute(_CONTENTS, {"indices": list(indices)})}
    if missing := [index for index in indices if index not in found or index >= size]:
        raise NotFound(f"the log has {size} entries; there is no entry {missing[0]}")
    return found
