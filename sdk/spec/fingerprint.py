"""A perceptual fingerprint as it travels. How one is computed is `sdk.credentials.fingerprint`.

A fingerprint is no proof: pictures that look alike have fingerprints that are near each other, whoever made them.
"""

from __future__ import annotations

import re
from typing import Final

from sdk.spec.ids import PatternedText

FINGERPRINT_BITS: Final = 256


class Fingerprint(PatternedText):
    """The algorithm and the bits of a perceptual fingerprint."""

    pattern = re.compile(rf"dct256:[0-9a-f]{{{FINGERPRINT_BITS // 4}}}")
    what = "a fingerprint"
    example = "dct256:" + "0" * (FINGERPRINT_BITS // 4)

    @property
    def bits(self) -> str:
        """The bits as 256 zeros and ones."""
        return format(int(self.removeprefix("dct256:"), 16), f"0{FINGERPRINT_BITS}b")

    def distance(self, other: Fingerprint) -> int:
        """The number of bits in which two fingerprints differ."""
        mine, theirs = (int(held.removeprefix("dct256:"), 16) for held in (self, other))
        return (mine ^ theirs).bit_count()
