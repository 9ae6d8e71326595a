"""Many fingerprints compared at once, as the registry compares them: the bits that differ, and whether a part is equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sdk.spec.fingerprint import Fingerprint


def bits_of(fingerprints: Sequence[Fingerprint]) -> Any:
    """The bits [n, 4] as unsigned 64-bit numbers."""
    content = b"".join(bytes.fromhex(held.removeprefix("dct256:")) for held in fingerprints)
    return np.frombuffer(content, dtype=">u8").astype(np.uint64).reshape(-1, 4)


def distances(asked: Any, held: Any) -> Any:
    """The bits that differ [asked, held]."""
    return np.bitwise_count(asked[:, None] ^ held[None]).sum(axis=2, dtype=np.int64)


def share_a_part(asked: Any, held: Any) -> Any:
    """Whether two have one of their sixteen 16-bit parts in common, as crops must to be compared [asked, held]."""
    parts = [
        np.stack([(bits >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)])
        for bits in (asked, held)
    ]
    return (parts[0][:, :, None] == parts[1][:, None]).any(axis=(0, 3))
