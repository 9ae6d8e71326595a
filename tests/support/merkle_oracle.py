"""Merkle proofs straight from the recursive definitions of RFC 6962 section 2.1: slow, obvious, for tests only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sdk.spec.merkle import root_of


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(index, leaves[:k]), root_of(leaves[k:])]
    return [*inclusion_proof(index - k, leaves[k:]), root_of(leaves[:k])]


def multiproof(indices: Collection[int], leaves: Sequence[bytes], start: int = 0) -> list[bytes]:
    """MTH of every largest subtree without an index, left to right; `leaves` begin at entry `start`."""
    if not any(start <= index < start + len(leaves) for index in indices):
        return [root_of(leaves)]
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    return [*multiproof(indices, leaves[:k], start), *multiproof(indices, leaves[k:], start + k)]


def consistency_proof(old_size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return [] if old_size in (0, len(leaves)) else _subproof(old_size, leaves, complete=True)


def _subproof(size: int, leaves: Sequence[bytes], *, complete: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if complete else [root_of(leaves)]
    k = _split(len(leaves))
    if size <= k:
        return [*_subproof(size, leaves[:k], complete=complete), root_of(leaves[k:])]
    return [*_subproof(size - k, leaves[k:], complete=False), root_of(leaves[:k])]
