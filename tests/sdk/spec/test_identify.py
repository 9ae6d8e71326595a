"""What a likeness says: a file is certain, a watermark strong, a fingerprint as far as its distance goes."""

from __future__ import annotations

import pytest
from support.wire_values import VIEW

from sdk.spec.digest import Digest
from sdk.spec.identify import NEAR, Confidence, Likeness
from sdk.spec.watermark import WatermarkId

MARK = WatermarkId("wm61:0123456789abcdef")


@pytest.mark.parametrize(
    ("watermark", "distance", "confidence"),
    [
        (None, None, Confidence.CERTAIN),
        (MARK, None, Confidence.STRONG),
        (MARK, NEAR, Confidence.STRONG),
        (None, 0, Confidence.STRONG),
        (None, 12, Confidence.STRONG),
        (None, 13, Confidence.FAIR),
        (None, 26, Confidence.FAIR),
        (None, 27, Confidence.WEAK),
        (None, NEAR, Confidence.WEAK),
    ],
)
def test_says_no_more_than_it_shows(
    watermark: WatermarkId | None, distance: int | None, confidence: Confidence
) -> None:
    likeness = Likeness(generation=VIEW, image=Digest.of(b"image"), watermark=watermark, distance=distance)
    assert likeness.confidence is confidence
