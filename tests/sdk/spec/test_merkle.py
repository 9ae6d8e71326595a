"""Merkle proofs against an oracle written from the definitions, and against every single change."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.merkle_oracle import consistency_proof, inclusion_proof, multiproof

from sdk.errors import ProofInvalid
from sdk.spec.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
    verify_multiproof,
)

LEAVES = [leaf_hash(bytes([i])) for i in range(70)]
SIZES = st.integers(1, len(LEAVES))


class TestHashes:
    def test_leaves_and_nodes_cannot_be_confused(self) -> None:
        left, right = LEAVES[:2]
        assert leaf_hash(left + right) != node_hash(left, right)

    def test_empty_tree(self) -> None:
        assert root_of([]) == EMPTY_ROOT == hashlib.sha256().digest()

    def test_root_of_three_is_unbalanced_to_the_left(self) -> None:
        a, b, c = LEAVES[:3]
        assert root_of([a, b, c]) == node_hash(node_hash(a, b), c)


class TestInclusion:
    @given(st.data(), SIZES)
    def test_every_proof_of_the_oracle_holds(self, data: st.DataObject, size: int) -> None:
        index = data.draw(st.integers(0, size - 1))
        proof = inclusion_proof(index, LEAVES[:size])
        verify_inclusion(leaf=LEAVES[index], index=index, tree_size=size, proof=proof, root=root_of(LEAVES[:size]))

    @settings(max_examples=200)
    @given(st.data(), st.integers(2, len(LEAVES)))
    def test_no_changed_proof_holds(self, data: st.DataObject, size: int) -> None:
        index = data.draw(st.integers(0, size - 1))
        proof = inclusion_proof(index, LEAVES[:size])
        root, leaf = root_of(LEAVES[:size]), LEAVES[index]
        kind = data.draw(st.sampled_from(["leaf", "index", "hash", "shorter", "longer", "root"]))
        if kind == "leaf":
            leaf = leaf_hash(b"another")
        elif kind == "index":
            index = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
        elif kind == "hash":
            place = data.draw(st.integers(0, len(proof) - 1))
            proof = [*proof[:place], bytes(32), *proof[place + 1 :]]
        elif kind == "shorter":
            proof = proof[:-1]
        elif kind == "longer":
            proof = [*proof, bytes(32)]
        else:
            root = bytes(32)
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf=leaf, index=index, tree_size=size, proof=proof, root=root)

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3)])
    def test_refuses_an_index_outside_the_tree(self, index: int, size: int) -> None:
        with pytest.raises(ProofInvalid, match="outside"):
            verify_inclusion(leaf=LEAVES[0], index=index, tree_size=size, proof=[], root=LEAVES[0])


class TestConsistency:
    @given(st.data(), SIZES)
    def test_every_proof_of_the_oracle_holds(self, data: st.DataObject, size: int) -> None:
        old = data.draw(st.integers(0, size))
        verify_consistency(
            old_size=old,
            new_size=size,
            old_root=root_of(LEAVES[:old]),
            new_root=root_of(LEAVES[:size]),
            proof=consistency_proof(old, LEAVES[:size]),
        )

    @settings(max_examples=200)
    @given(st.data(), st.integers(2, len(LEAVES)))
    def test_no_changed_proof_holds(self, data: st.DataObject, size: int) -> None:
        old = data.draw(st.integers(1, size - 1))
        roots = [root_of(LEAVES[:old]), root_of(LEAVES[:size])]
        proof = consistency_proof(old, LEAVES[:size])
        kind = data.draw(st.sampled_from(["old root", "new root", "hash", "shorter", "longer"]))
        if kind == "old root":
            roots[0] = bytes(32)
        elif kind == "new root":
            roots[1] = bytes(32)
        elif kind == "hash":
            place = data.draw(st.integers(0, len(proof) - 1))
            proof = [*proof[:place], bytes(32), *proof[place + 1 :]]
        elif kind == "shorter":
            proof = proof[:-1]
        else:
            proof = [*proof, bytes(32)]
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=old, new_size=size, old_root=roots[0], new_root=roots[1], proof=proof)

    def test_refuses_a_log_that_shrank(self) -> None:
        with pytest.raises(ProofInvalid, match="never shrinks"):
            verify_consistency(old_size=3, new_size=2, old_root=bytes(32), new_root=bytes(32), proof=[])

    def test_refuses_another_root_of_the_same_size(self) -> None:
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=2, new_size=2, old_root=bytes(32), new_root=root_of(LEAVES[:2]), proof=[])

    def test_refuses_a_made_up_empty_root(self) -> None:
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=0, new_size=2, old_root=bytes(32), new_root=root_of(LEAVES[:2]), proof=[])

    def test_refuses_a_needless_proof(self) -> None:
        root = root_of(LEAVES[:2])
        with pytest.raises(ProofInvalid):
            verify_consistency(old_size=2, new_size=2, old_root=root, new_root=root, proof=[bytes(32)])

    def test_refuses_an_empty_proof(self) -> None:
        with pytest.raises(ProofInvalid, match="empty"):
            verify_consistency(
                old_size=3, new_size=4, old_root=root_of(LEAVES[:3]), new_root=root_of(LEAVES[:4]), proof=[]
            )


class TestMultiproof:
    @settings(max_examples=200)
    @given(st.data(), SIZES)
    def test_every_proof_of_the_oracle_holds(self, data: st.DataObject, size: int) -> None:
        indices = data.draw(st.sets(st.integers(0, size - 1)))
        proof = multiproof(indices, LEAVES[:size])
        leaves = {index: LEAVES[index] for index in indices}
        verify_multiproof(leaves=leaves, tree_size=size, proof=proof, root=root_of(LEAVES[:size]))

    @settings(max_examples=300)
    @given(st.data(), st.integers(2, len(LEAVES)))
    def test_no_changed_proof_holds(self, data: st.DataObject, size: int) -> None:
        indices = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))
        proof, root = multiproof(indices, LEAVES[:size]), root_of(LEAVES[:size])
        leaves = {index: LEAVES[index] for index in indices}
        kind = data.draw(st.sampled_from(["leaf", "index", "fewer", "outside", "hash", "shorter", "longer", "root"]))
        victim = data.draw(st.sampled_from(sorted(indices)))
        place = data.draw(st.integers(0, len(proof) - 1))
        if kind == "leaf":
            leaves[victim] = leaf_hash(b"another")
        elif kind == "index":
            leaves[data.draw(st.sampled_from([i for i in range(size) if i not in indices]))] = leaves.pop(victim)
        elif kind == "fewer":
            del leaves[victim]
        elif kind == "outside":
            leaves[size] = leaves.pop(victim)
        elif kind == "hash":
            proof[place] = bytes(32)
        elif kind == "shorter":
            proof.pop()
        elif kind == "longer":
            proof = [*proof, bytes(32)]
        else:
            root = bytes(32)
        with pytest.raises(ProofInvalid):
            verify_multiproof(leaves=leaves, tree_size=size, proof=proof, root=root)

    def test_of_the_empty_tree(self) -> None:
        verify_multiproof(leaves={}, tree_size=0, proof=(), root=EMPTY_ROOT)
        with pytest.raises(ProofInvalid):
            verify_multiproof(leaves={}, tree_size=0, proof=(), root=bytes(32))
