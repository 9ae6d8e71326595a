"""The stored tree against the plain definitions of RFC 6962, and against the verifiers of `sdk.spec.merkle`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.log.tree import (
    Node,
    Span,
    complete_subtrees,
    completed_by,
    consistency_proof,
    inclusion_proof,
    multiproof,
    root_hash,
)
from sdk.errors import NotFound
from sdk.spec.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
    verify_multiproof,
)


class MemoryTree:
    """The nodes that appending `size` leaves one by one has stored; remembers how many were read."""

    def __init__(self, size: int) -> None:
        self.leaves = [leaf_hash(b"entry %d" % number) for number in range(size)]
        self.nodes: dict[Node, bytes] = {}
        self.reads = 0
        for index, leaf in enumerate(self.leaves):
            new = completed_by(index, leaf, self.read)
            assert not new.keys() & self.nodes.keys(), "a stored node is never written again"
            self.nodes |= new

    def read(self, nodes: Iterable[Node]) -> Mapping[Node, bytes]:
        wanted = list(nodes)
        self.reads += len(wanted)
        return {node: self.nodes[node] for node in wanted}

    def root(self, size: int) -> bytes:
        return root_of(self.leaves[:size])


TREE = MemoryTree(300)
SIZES = st.integers(min_value=1, max_value=300)


class TestRoot:
    def test_of_the_empty_tree_is_the_hash_of_nothing(self) -> None:
        assert root_hash(0, TREE.read) == EMPTY_ROOT

    @given(size=SIZES)
    def test_equals_the_definition(self, size: int) -> None:
        assert root_hash(size, TREE.read) == TREE.root(size)


class TestInclusionProof:
    @settings(max_examples=200)
    @given(size=SIZES, data=st.data())
    def test_convinces_the_verifier(self, size: int, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, size - 1))
        proof = inclusion_proof(index, size, TREE.read)
        verify_inclusion(leaf=TREE.leaves[index], index=index, tree_size=size, proof=proof, root=TREE.root(size))

    @pytest.mark.parametrize("index", [-1, 5, 6])
    def test_is_refused_for_an_entry_that_is_not_there(self, index: int) -> None:
        with pytest.raises(NotFound, match="the log has 5 entries"):
            inclusion_proof(index, 5, TREE.read)


class TestConsistencyProof:
    @settings(max_examples=200)
    @given(new=SIZES, data=st.data())
    def test_convinces_the_verifier(self, new: int, data: st.DataObject) -> None:
        old = data.draw(st.integers(0, new))
        proof = consistency_proof(old, new, TREE.read)
        verify_consistency(old_size=old, new_size=new, old_root=TREE.root(old), new_root=TREE.root(new), proof=proof)

    def test_has_the_published_length_for_the_example_of_rfc_6962(self) -> None:
        # Section 2.1.3: PROOF(3, D[7]) = [c, d, g, l], PROOF(4, D[7]) = [l], PROOF(6, D[7]) = [i, j, k].
        assert [len(consistency_proof(old, 7, TREE.read)) for old in (3, 4, 6)] == [4, 1, 3]


class TestCost:
    def test_of_an_append_is_logarithmic(self) -> None:
        tree = MemoryTree(255)
        before = tree.reads
        new = completed_by(255, leaf_hash(b"the 256th"), tree.read)
        assert tree.reads - before == 8
        assert len(new) == 9

    def test_of_a_proof_is_logarithmic_in_a_huge_tree(self) -> None:
        asked: list[Node] = []

        def read(nodes: Iterable[Node]) -> Mapping[Node, bytes]:
            asked.extend(wanted := list(nodes))
            return dict.fromkeys(wanted, b"\0" * 32)

        inclusion_proof(123_456_789, 2**40 - 1, read)
        assert len(asked) <= 2 * 40


class TestCompleteSubtrees:
    def test_cover_a_span_exactly(self) -> None:
        assert complete_subtrees(Span(8, 15)) == [Node(2, 2), Node(1, 6), Node(0, 14)]


class TestMultiproof:
    @settings(max_examples=300)
    @given(size=SIZES, data=st.data())
    def test_verifies_for_every_set_of_entries(self, size: int, data: st.DataObject) -> None:
        indices = data.draw(st.sets(st.integers(0, size - 1), max_size=40))
        proof = multiproof(indices, size, TREE.read)
        leaves = {index: TREE.leaves[index] for index in indices}
        verify_multiproof(leaves=leaves, tree_size=size, proof=proof, root=TREE.root(size))

    @given(size=SIZES, data=st.data())
    def test_of_one_entry_has_the_hashes_of_its_inclusion_proof(self, size: int, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, size - 1))
        assert sorted(multiproof([index], size, TREE.read)) == sorted(inclusion_proof(index, size, TREE.read))

    def test_of_all_entries_is_empty_and_of_none_is_the_root(self) -> None:
        assert multiproof(range(300), 300, TREE.read) == ()
        assert multiproof((), 300, TREE.read) == (TREE.root(300),)

    @pytest.mark.parametrize("index", [-1, 10])
    def test_of_an_entry_that_is_not_there(self, index: int) -> None:
        with pytest.raises(NotFound, match=f"no entry {index}"):
            multiproof([3, index], 10, TREE.read)
