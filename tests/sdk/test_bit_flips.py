"""Every bit of a version's proofs matters: flip one, and verification says no.

The one exception is DSSE's: a signature's `keyid` is an unauthenticated hint, and which key signed is found by trying.
"""

from __future__ import annotations

import dataclasses
import random

import pytest
from support.governed import NOW, World

from sdk.errors import ImprimaturError
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.envelope import Envelope
from sdk.spec.ids import parse_version_ref
from sdk.verify import VerifiedVersion, verify_version

FLIPS = 2000


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
