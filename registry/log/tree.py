"""Which stored nodes make a root, an inclusion proof, a consistency proof, and which a new leaf completes.

RFC 6962 section 2.1. Only hashes over complete subtrees are stored; every other hash is folded from at most log2(n)
of them. Pure but for the `NodeReader`, which is asked once for all the nodes a question needs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from sdk.errors import NotFound
from sdk.spec.merkle import EMPTY_ROOT, node_hash


class Node(NamedTuple):
    """A complete subtree: the entries from `position * 2**level` on, `2**level` of them."""

    level: int
    position: int


class Span(NamedTuple):
    """The entries from `start` up to, not including, `end`, whose Merkle Tree Hash is meant."""

    start: int
    end: int


NodeReader = Callable[[Iterable[Node]], Mapping[Node, bytes]]
"""Returns the stored hash of every node asked for."""


def completed_by(index: int, leaf: bytes, read: NodeReader) -> dict[Node, bytes]:
    """The nodes that appending `leaf` as entry `index` completes: the leaf, and a parent for every full pair.

    The database does the same in `append_to_log` (migration 0028); the tests hold one to the other.
    """
    left_siblings = [Node(level, (index >> level) - 1) for level in range(_trailing_ones(index))]
    stored = read(left_siblings)
    completed = {Node(0, index): leaf}
    for left in left_siblings:
        leaf = node_hash(stored[left], leaf)
        completed[Node(left.level + 1, left.position >> 1)] = leaf
    return completed


def root_hash(size: int, read: NodeReader) -> bytes:
    """The root of the first `size` entries."""
    return _hashes([Span(0, size)], read)[0] if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """PATH(index, D[size]), section 2.1.1. Raises `NotFound` when the tree has no such entry."""
    if not 0 <= index < size:
        raise NotFound(f"the log has {size} entries; there is no entry {index}")
    return _hashes(inclusion_spans(index, size), read)


def multiproof(indices: Collection[int], size: int, read: NodeReader) -> tuple[bytes, ...]:
    """What `sdk.spec.merkle.verify_multiproof` needs to know that these entries are in the tree of `size`.

    Raises `NotFound` when the tree has no such entry.
    """
    if missing := [index for index in indices if not 0 <= index < size]:
        raise NotFound(f"the log has {size} entries; there is no entry {missing[0]}")
    return _hashes(multiproof_spans(indices, size), read)


def consistency_proof(old_size: int, new_size: int, read: NodeReader) -> tuple[bytes, ...]:
    """PROOF(old_size, D[new_size]), section 2.1.2; empty for equal sizes and from the empty tree."""
    return _hashes(consistency_spans(old_size, new_size), read)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose hashes are the inclusion proof, nearest the leaf first."""
    spans, start, end = [], 0, size
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            spans.append(Span(split, end))
            end = split
        else:
            spans.append(Span(start, split))
            start = split
    return spans[::-1]


def multiproof_spans(indices: Collection[int], size: int) -> list[Span]:
    """The largest spans that hold none of `indices`, left to right."""
    ordered, spans = sorted(indices), list[Span]()
    waiting = [(Span(0, size), 0, len(ordered))] if size else []
    while waiting:
        span, low, high = waiting.pop()
        if low == high:
            spans.append(span)
        elif span.end - span.start > 1:
            split = span.start + _largest_power_below(span.end - span.start)
            middle = bisect_left(ordered, split, low, high)
            waiting += [(Span(split, span.end), middle, high), (Span(span.start, split), low, middle)]
    return spans


def consistency_spans(old_size: int, new_size: int) -> list[Span]:
    """The spans whose hashes are the consistency proof, deepest first."""
    if old_size in (0, new_size):
        return []
    spans, start, end = [], 0, new_size
    while old_size != end:
        split = start + _largest_power_below(end - start)
        if old_size <= split:
            spans.append(Span(split, end))
            end = split
        else:
            spans.append(Span(start, split))
            start = split
    if start:  # otherwise the verifier holds this hash already: it is the old root
        spans.append(Span(start, end))
    return spans[::-1]


def complete_subtrees(span: Span) -> list[Node]:
    """The fewest complete subtrees that make up `span`, left to right; `span` starts where a subtree does."""
    nodes, start = [], span.start
    while start < span.end:
        level = (span.end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def nodes_of(spans: Iterable[Span]) -> list[Node]:
    """Every node that the hashes of these spans are folded from, once."""
    return list(dict.fromkeys(chain.from_iterable(complete_subtrees(span) for span in spans)))


def given(stored: Mapping[Node, bytes]) -> NodeReader:
    """A reader of what was read before."""
    return lambda nodes: stored


def _hashes(spans: list[Span], read: NodeReader) -> tuple[bytes, ...]:
    parts = [complete_subtrees(span) for span in spans]
    stored = read(chain.from_iterable(parts))
    return tuple(_fold([stored[node] for node in nodes]) for nodes in parts)


def _fold(hashes: list[bytes]) -> bytes:
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def _largest_power_below(number: int) -> int:
    return 1 << (number - 1).bit_length() - 1


def _trailing_ones(number: int) -> int:
    return (~number & (number + 1)).bit_length() - 1
