"""Asking where a picture comes from: the question of POST /v1/generations/identify and its answer.

The picture itself never leaves whoever asks; its digest, watermarks and fingerprints do. An equal digest is the very
file that was recorded. A watermark or a near fingerprint is a lead to look at, and no proof: a watermark can be copied
into another picture, and pictures that look alike have fingerprints that are near each other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from sdk.spec.api import GenerationView
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint
from sdk.spec.watermark import WatermarkId

NEAR: Final = 31  # bits of 256, PDQ's published threshold
RECOMPRESSED: Final = 12  # bits; most copies that were resized or recompressed are this near
CROPPED: Final = 26  # bits; most crops are this near
MAX_MATCHES: Final = 10
MAX_FINGERPRINTS: Final = 96  # of one query
MAX_CROPS: Final = 400  # a picture and the four largest that are in it, 80 each
MAX_WATERMARKS: Final = 8


class IdentifyQuery(WireModel):
    """The digest of the file as it was found, and what was read out of the picture in it; a flat one says nothing.

    `fingerprints` are of the picture, its mirror image, and of the pictures that may be in it, as in a screenshot; each that is near
    is found. `crops` are of what is left when edges are cut off. They are many, and neighbours of one another, so each is only
    compared with those that have one of their sixteen parts in common: whatever differs in at most 15 bits, and most of the rest.
    """

    digest: Digest
    fingerprints: tuple[Fingerprint, ...] = Field(default=(), max_length=MAX_FINGERPRINTS)
    crops: tuple[Fingerprint, ...] = Field(default=(), max_length=MAX_CROPS)
    watermarks: tuple[WatermarkId, ...] = Field(default=(), max_length=MAX_WATERMARKS)


class Confidence(StrEnum):
    """How much a likeness says, by how near copies of measured pictures were (docs/credentials.md). Only a file is proof."""

    CERTAIN = "certain"  # it is the very file
    STRONG = "strong"  # the same watermark, or as near as most copies that were resized or recompressed
    FAIR = "fair"  # as near as most crops
    WEAK = "weak"  # further off than most copies are


class Likeness(WireModel):
    """An image on record: the very file, one with the same watermark, or one whose fingerprint differs in `distance` bits."""

    generation: GenerationView
    image: Digest
    watermark: WatermarkId | None = None
    distance: int | None = Field(default=None, ge=0, le=FINGERPRINT_BITS)

    @property
    def confidence(self) -> Confidence:
        """How far to believe it."""
        if self.watermark:
            return Confidence.STRONG
        if self.distance is None:
            return Confidence.CERTAIN
        if self.distance <= RECOMPRESSED:
            return Confidence.STRONG
        return Confidence.FAIR if self.distance <= CROPPED else Confidence.WEAK


class IdentifyAnswer(WireModel):
    """The very file if it is on record, then images with its watermark, then what looks like it, nearest first; at most ten."""

    matches: tuple[Likeness, ...]
