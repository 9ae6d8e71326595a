"""The Merkle tree of RFC 6962 section 2.1: hashes and the verification of proofs.

Pure functions on bytes, usable by anybody who holds an entry, a proof and a root. Building proofs from stored
tiles lives in `registry.log`; here is also a plain `root_of` for small trees and tests.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from sdk.errors import ProofInvalid

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle Tree Hash MTH(D[n]) over leaf hashes; n steps, for small trees."""
    if not leaf_hashes:
        return EMPTY_ROOT
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    split = 1 << (len(leaf_hashes) - 1).bit_length() - 1
    return node_hash(root_of(leaf_hashes[:split]), root_of(leaf_hashes[split:]))


def verify_inclusion(*, leaf: bytes, index: int, tree_size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` is entry `index` of the tree of `tree_size` entries with `root` (RFC 9162 section 2.1.3.2).

    Raises:
        ProofInvalid: the proof has the wrong length or leads to another root.
    """
    if not 0 <= index < tree_size:
        raise ProofInvalid(f"leaf index {index} is outside a tree of {tree_size} entries")
    node, last, computed = index, tree_size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid(f"inclusion proof of entry {index} is longer than a tree of {tree_size} entries allows")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or computed != root:
        raise ProofInvalid(f"inclusion proof of entry {index} does not lead to the root of {tree_size} entries")


def verify_multiproof(*, leaves: Mapping[int, bytes], tree_size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that every leaf hash is at its index of the tree of `tree_size` entries with `root`, all of them at once.

    `proof` has the hashes of the largest subtrees without any of the leaves, from left to right, where subtrees are
    split as in RFC 6962 section 2.1. One leaf needs the hashes of its inclusion proof; many share most of theirs.

    Raises:
        ProofInvalid: an index is outside the tree, the proof has the wrong length, or leads to another root.
    """
    indices = sorted(leaves)
    if indices and not 0 <= indices[0] <= indices[-1] < tree_size:
        raise ProofInvalid(f"a leaf index from {indices[0]} to {indices[-1]} is outside a tree of {tree_size} entries")
    given = iter(proof)

    def hash_of(start: int, end: int, low: int, high: int) -> bytes:
        """Of the entries from `start` up to `end`, among which are the leaves `indices[low:high]`."""
        if low == high:
            return next(given)
        if end - start == 1:
            return leaves[start]
        split = start + (1 << (end - start - 1).bit_length() - 1)
        middle = bisect_left(indices, split, low, high)
        return node_hash(hash_of(start, split, low, middle), hash_of(split, end, middle, high))

    try:
        computed = hash_of(0, tree_size, 0, len(indices)) if tree_size else EMPTY_ROOT
    except StopIteration:
        raise ProofInvalid(f"the proof of {len(indices)} entries is shorter than a tree of {tree_size} needs") from None
    if next(given, None) is not None or computed != root:
        raise ProofInvalid(f"the proof of {len(indices)} entries does not lead to the root of {tree_size} entries")


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `new_size` extends the tree of `old_size` (RFC 9162 section 2.1.4.2).

    Raises:
        ProofInvalid: the proof does not hold, so nothing says the old entries are still there.
    """
    if not 0 <= old_size <= new_size:
        raise ProofInvalid(f"a log never shrinks: from {old_size} to {new_size} entries")
    if old_size in (0, new_size):
        expected_old = EMPTY_ROOT if old_size == 0 else new_root
        if proof or old_root != expected_old:
            raise ProofInvalid(f"consistency proof from {old_size} to {new_size} entries does not hold")
        return
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        raise ProofInvalid(f"consistency proof from {old_size} to {new_size} entries is empty")
    _replay_consistency(path, old_size, new_size, old_root, new_root)


def _replay_consistency(path: list[bytes], old_size: int, new_size: int, old_root: bytes, new_root: bytes) -> None:
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid(f"consistency proof from {old_size} to {new_size} entries is too long")
        if node & 1 or node == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or from_old != old_root or from_new != new_root:
        raise ProofInvalid(f"consistency proof from {old_size} to {new_size} entries does not hold")
