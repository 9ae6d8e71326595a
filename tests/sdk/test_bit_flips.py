"""Every bit of what is signed matters: flip one, and verification says no.

The one exception is DSSE's: a signature's `keyid` is an unauthenticated hint, and which key signed is found by trying.
`make bit-flips` flips 10,000 (`BIT_FLIPS`) of a version's bundle, and as many again of the other signed vectors.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.governed import NOW, World, make_trust_root

from sdk.errors import ImprimaturError, ProofInvalid
from sdk.receipt import verify_erasure, verify_log_proof
from sdk.signing.cosign import verify_note
from sdk.signing.grants import verify_grant
from sdk.signing.receipts import verify_receipt
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRole, verify_checkpoint, verify_role, verify_trust_root
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.envelope import Envelope, parse_envelope
from sdk.spec.ids import parse_version_ref
from sdk.spec.log_entry import LogReceipt
from sdk.spec.log_policy import parse_log_policy
from sdk.spec.log_tiles import parse_entry_bundle
from sdk.spec.merkle import leaf_hash, root_of
from sdk.spec.statements import parse_statement
from sdk.verify import VerifiedVersion, verify_version

FLIPS = max(2000, int(os.environ.get("BIT_FLIPS", "0")))
VECTORS = Path(__file__).resolve().parents[1] / "vectors"
TRUST = make_trust_root()
POLICY = parse_log_policy((VECTORS / "log-policy.txt").read_bytes())


def verify(content: bytes, world: World) -> VerifiedVersion:
    bundle = parse_wire(VersionBundle, content, "version")
    return verify_version(
        bundle, ref=parse_version_ref("demo/fox@1"), trust=world.trust, now=NOW, status_list=world.status_list()
    )


def without_hints(bundle: VersionBundle) -> VersionBundle:
    """The bundle with the key ids of all signatures left out."""

    def plain(envelope: Envelope) -> Envelope:
        signatures = tuple(signature.model_copy(update={"keyid": ""}) for signature in envelope.signatures)
        return envelope.model_copy(update={"signatures": signatures})

    approvals = tuple(a.model_copy(update={"envelope": plain(a.envelope)}) for a in bundle.approvals)
    return bundle.model_copy(
        update={"approvals": approvals, "training_attestation": plain(bundle.training_attestation)}
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_told_or_is_a_key_hint(seed: int) -> None:
    world = World()
    world.approve()
    content = encode_canonical(world.bundle())
    sound = verify(content, world)
    rng = random.Random(seed)
    for _ in range(FLIPS // 4):
        place = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        try:
            passed = verify(bytes(flipped), world)
        except ImprimaturError:
            continue
        around = content[max(0, place // 8 - 40) : place // 8 + 10]
        assert without_hints(passed.bundle) == without_hints(sound.bundle), around
        assert dataclasses.replace(passed, bundle=sound.bundle) == sound, around


def signed_for(role: TrustRole) -> Callable[[bytes], Any]:
    """What a statement says, once a key of `role` has signed it."""

    def verify(content: bytes) -> Any:
        envelope = parse_envelope(content)
        verify_role(envelope, TRUST, role)
        return parse_statement(envelope.payload, envelope.payload_type)

    return verify


def entries_under_their_checkpoint(content: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle, held to the root that the log signed."""
    checkpoint = verify_checkpoint((VECTORS / "log-checkpoint.txt").read_bytes(), TRUST)
    entries = parse_entry_bundle(content, width=checkpoint.tree_size)
    if root_of([leaf_hash(entry) for entry in entries]) != checkpoint.root_hash:
        raise ProofInvalid("another root")
    return tuple(entries)


VERIFY: dict[str, Callable[[bytes], Any]] = {
    "trust-root-3.json": lambda content: verify_trust_root(parse_envelope(content), now=NOW),
    "compose-grant.json": lambda content: verify_grant(parse_envelope(content), TRUST, now=NOW),
    "status-list.jwt": lambda content: verify_status_list(content, TRUST),
    "erasure-certificate.json": lambda content: verify_erasure(parse_envelope(content), TRUST),
    "consent-statement.json": signed_for(TrustRole.DECISION),
    "submission-statement.json": signed_for(TrustRole.DECISION),
    "approval.json": signed_for(TrustRole.APPROVAL),
    "training-attestation.json": signed_for(TrustRole.TRAINING),
    "approval.tlog-proof": lambda content: verify_log_proof(content, POLICY),
    "log-receipt.json": lambda content: verify_receipt(parse_wire(LogReceipt, content, "receipt"), TRUST),
    "log-checkpoint.txt": lambda content: verify_checkpoint(content, TRUST),
    "log-checkpoint-cosigned.txt": lambda content: verify_note(content, POLICY),
    "log-entry-bundle.bin": entries_under_their_checkpoint,
}


@pytest.mark.parametrize("name", sorted(VERIFY))
def test_a_flipped_bit_of_a_signed_vector_is_told_or_says_the_same(name: str) -> None:
    content = (VECTORS / name).read_bytes()
    sound, rng = VERIFY[name](content), random.Random(name)
    for _ in range(FLIPS // len(VERIFY)):
        place = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        try:
            passed = VERIFY[name](bytes(flipped))
        except ImprimaturError:
            continue
        before = content[max(0, place // 8 - 80) : place // 8 + 1]
        assert passed == sound, before
        assert b'"keyid":"' in before, before
