"""Asking where a picture comes from: the question of POST /v1/generations/identify and its answer.

The picture itself never leaves whoever asks; its digest and fingerprints do. An equal digest is the very file that was
recorded. A near fingerprint is a lead to look at, and no proof: pictures that look alike have fingerprints that are
near each other.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from sdk.spec.api import GenerationView
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint

NEAR: Final = 31  # bits of 256, PDQ's published threshold
MAX_MATCHES: Final = 10


class IdentifyQuery(WireModel):
    """The digest of the file as it was found, and the fingerprints of the picture in it, none of a flat one."""

    digest: Digest
    fingerprints: tuple[Fingerprint, ...] = Field(default=(), max_length=4)


class Likeness(WireModel):
    """An image on record. `distance` is in bits, absent for the very file."""

    generation: GenerationView
    image: Digest
    distance: int | None = Field(default=None, ge=0, le=FINGERPRINT_BITS)


class IdentifyAnswer(WireModel):
    """The very file if it is on record, then what looks like it, nearest first, at most ten."""

    matches: tuple[Likeness, ...]
