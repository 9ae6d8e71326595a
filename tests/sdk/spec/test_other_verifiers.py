"""Our roots and proofs, judged by implementations that are not ours: pymerkle's tree and sigstore's verifier."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pymerkle
import pytest
from support.governed import NOW, ORIGIN, fixed_signer
from support.memory_log import MemoryLog

from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_proof import encode_log_proof, parse_log_proof, proof_of_receipt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore.errors import VerificationError

SIZES = (1, 2, 3, 7, 8, 9, 31, 32, 33, 100)


def make_log(entries: int) -> MemoryLog:
    log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
    for number in range(entries):
        log.append(AuditEventType.CONCEPT_CREATED, f"demo/狐-{number}")
    return log


def as_sigstore(log: MemoryLog, index: int) -> Any:
    """A receipt of ours, in the shape of an entry of Rekor."""
    proof = parse_log_proof(encode_log_proof(proof_of_receipt(log.receipt(index))))
    inclusion = SimpleNamespace(
        log_index=proof.index,
        tree_size=len(log.contents),
        root_hash=log.checkpoint().root_hash,
        hashes=list(proof.inclusion),
    )
    return SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=inclusion, canonicalized_body=proof.entry))


class TestSigstore:
    @pytest.mark.parametrize("size", SIZES)
    def test_finds_every_entry_where_our_receipt_says(self, size: int) -> None:
        log = make_log(size)
        for index in range(size):
            verify_merkle_inclusion(as_sigstore(log, index))

    def test_refuses_what_we_refuse(self) -> None:
        entry = as_sigstore(make_log(9), 4)
        entry._inner.canonicalized_body += b" "
        with pytest.raises(VerificationError):
            verify_merkle_inclusion(entry)


class TestPymerkle:
    @pytest.mark.parametrize("size", SIZES)
    def test_computes_our_root_and_our_proofs(self, size: int) -> None:
        log, tree = make_log(size), pymerkle.InmemoryTree(algorithm="sha256")
        for content in log.contents:
            tree.append_entry(content)
        assert tree.get_root() == log.checkpoint().root_hash
        for index in range(size):
            theirs = tree.prove_inclusion(index + 1, size)
            pymerkle.verify_inclusion(tree.get_leaf(index + 1), log.checkpoint().root_hash, theirs)
