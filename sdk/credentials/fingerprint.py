"""Perceptual fingerprints: 256 bits that a picture keeps when it is recompressed, resized or stripped of its metadata.

`dct256` follows PDQ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019): the
luma reduced to 64 x 64 by averaging, the discrete cosine transform's rows and columns 1 to 16, and one bit for each
coefficient that lies above their median. It is not PDQ bit for bit: PDQ reduces by two passes of a box filter.

A shifted picture has another fingerprint, so a picture that is handed out is fingerprinted whole and in the regions
that a small crop leaves. A fingerprint is no proof: pictures that look alike have fingerprints near each other.
"""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING, Final

from sdk.spec.fingerprint import Fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom, in fractions of the picture

SIDE: Final = 64
_KEPT: Final = range(1, 17)
_COSINES: Final = tuple(
    tuple(math.cos(math.pi * (2 * place + 1) * wave / (2 * SIDE)) for place in range(SIDE)) for wave in _KEPT
)
_MIN_DEVIATION: Final = 2.0  # grey levels of 255; below, a picture is flat and its bits are noise
_WHOLE: Final[Box] = (0.0, 0.0, 1.0, 1.0)
REGIONS: Final[tuple[Box, ...]] = (
    _WHOLE,
    *((cut, cut, 1 - cut, 1 - cut) for cut in (0.025, 0.05, 0.075, 0.1)),  # cut evenly from all sides
    *((0.1, 0.0, 1.0, 1.0), (0.0, 0.1, 1.0, 1.0), (0.0, 0.0, 0.9, 1.0), (0.0, 0.0, 1.0, 0.9)),  # from one side
    *((0.1, 0.1, 1.0, 1.0), (0.0, 0.1, 0.9, 1.0), (0.1, 0.0, 1.0, 0.9), (0.0, 0.0, 0.9, 0.9)),  # from a corner
)


def fingerprint(image: Image, region: Box = _WHOLE) -> Fingerprint | None:
    """The fingerprint of a region of an RGB or grey picture; none when it is too flat to have one."""
    from PIL.Image import Resampling
    from PIL.ImageStat import Stat

    width, height = image.size
    left, top, right, bottom = region
    box = (left * width, top * height, right * width, bottom * height)
    reduced = image.convert("L").resize((SIDE, SIDE), Resampling.BOX, box=box)
    if Stat(reduced).stddev[0] < _MIN_DEVIATION:
        return None
    coefficients = _transform(reduced.tobytes())
    middle = sorted(coefficients)[len(coefficients) // 2]
    bits = "".join("1" if value >= middle else "0" for value in coefficients)
    return Fingerprint(f"dct256:{int(bits, 2):064x}")


def fingerprints_of_output(image: Image) -> tuple[Fingerprint, ...]:
    """What is recorded about a picture that is handed out: the fingerprints of it and of its `REGIONS`."""
    found = (fingerprint(image, region) for region in REGIONS)
    return tuple(dict.fromkeys(held for held in found if held))


def fingerprints_of_query(image: Image) -> tuple[Fingerprint, ...]:
    """What is asked about a picture that was found: its fingerprint, and that of its mirror image."""
    from PIL import ImageOps

    found = (fingerprint(image), fingerprint(ImageOps.mirror(image)))
    return tuple(dict.fromkeys(held for held in found if held))


def _transform(luma: bytes) -> list[float]:
    """DCT-II of a SIDE x SIDE picture, unscaled; the kept rows and columns only, row by row.

    By numpy where it is installed, as it is wherever pictures are drawn: that takes a hundredth of the time.
    """
    try:
        import numpy as np
    except ImportError:
        return _transform_plainly(luma)
    cosines = np.array(_COSINES)
    picture = np.frombuffer(luma, dtype=np.uint8).reshape(SIDE, SIDE)
    return [float(value) for value in (cosines @ picture @ cosines.T).ravel()]


def _transform_plainly(luma: bytes) -> list[float]:
    rows = [luma[start : start + SIDE] for start in range(0, SIDE * SIDE, SIDE)]
    along = [[sum(map(mul, cosine, row)) for row in rows] for cosine in _COSINES]  # kept columns x SIDE
    return [sum(map(mul, cosine, column)) for cosine in _COSINES for column in along]
