"""Perceptual fingerprints: 256 bits that a picture keeps when it is recompressed, resized or stripped of its metadata.

`dct256` follows PDQ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019): the
luma reduced to 64 x 64 by averaging areas, the discrete cosine transform's rows and columns 1 to 16, and one bit for
each coefficient that lies above their median. It is not PDQ bit for bit: PDQ reduces by two passes of a box filter.

A shifted picture has another fingerprint. So a picture that is handed out is fingerprinted whole and in `REGIONS` that
crops leave, and a picture that was found is looked up whole and, if that finds nothing, cut by `CUTS`: whatever up to a
tenth was cut from each side, one of the two meets the other within 1.25 %. A fingerprint is no proof: pictures that look
alike have fingerprints near each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sdk.spec.fingerprint import Fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom, in fractions of the picture

SIDE: Final = 64
_KEPT: Final = range(1, 17)
_FINE: Final = 4 * SIDE  # pixels along the shorter side; more say nothing more
_MIN_DEVIATION: Final = 2.0  # grey levels of 255; below, a picture is flat and its bits are noise
WHOLE: Final[Box] = (0.0, 0.0, 1.0, 1.0)


def _cut(left: float, top: float, right: float, bottom: float) -> Box:
    """What is left when so much is cut from each side."""
    return (left, top, 1 - right, 1 - bottom)


REGIONS: Final[tuple[Box, ...]] = (
    WHOLE,
    *(_cut(cut, cut, cut, cut) for cut in (0.025, 0.075)),  # between those below
    *(_cut(*cuts) for cuts in itertools.product((0.05, 0.1), repeat=4)),
    *((0.1, 0.0, 1.0, 1.0), (0.0, 0.1, 1.0, 1.0), (0.0, 0.0, 0.9, 1.0), (0.0, 0.0, 1.0, 0.9)),  # from one side
    *((0.1, 0.1, 1.0, 1.0), (0.0, 0.1, 0.9, 1.0), (0.1, 0.0, 1.0, 0.9), (0.0, 0.0, 0.9, 0.9)),  # from a corner
)
CUTS: Final[tuple[Box, ...]] = tuple(_cut(*cuts) for cuts in itertools.product((0.0, 0.025, 0.05), repeat=4))[1:]


def fingerprint(image: Image, region: Box = WHOLE) -> Fingerprint | None:
    """The fingerprint of a region of a picture; none when it is too flat to have one."""
    return fingerprints(image, (region,))[0]


def fingerprints(image: Image, regions: Iterable[Box]) -> tuple[Fingerprint | None, ...]:
    """The fingerprints of regions of a picture, in their order; none for one that is flat."""
    import numpy as np

    sums, bands = _area_sums(image), dict[tuple[float, float], Any]()
    found = []
    for region in regions:
        _, top, _, bottom = region
        if (top, bottom) not in bands:  # many regions have their rows in common
            bands[top, bottom] = _band(sums, top, bottom)
        found.append(_fingerprint(np, _reduced(bands[top, bottom], region, len(sums) - 1)))
    return tuple(found)


def fingerprints_of_output(image: Image) -> tuple[Fingerprint, ...]:
    """What is recorded about a picture that is handed out: the fingerprints of it and of its `REGIONS`."""
    return _distinct(fingerprints(image, REGIONS))


def fingerprints_of_query(image: Image) -> tuple[Fingerprint, ...]:
    """What is asked first about a picture that was found: its fingerprint, and that of its mirror image."""
    from PIL import ImageOps

    return _distinct((fingerprint(image), fingerprint(ImageOps.mirror(image))))


def fingerprints_of_crops(image: Image) -> tuple[Fingerprint, ...]:
    """What is asked about a picture that was not found whole: it may be a crop."""
    return _distinct(fingerprints(image, CUTS))


def _distinct(found: Iterable[Fingerprint | None]) -> tuple[Fingerprint, ...]:
    return tuple(dict.fromkeys(held for held in found if held))


def _fingerprint(np: Any, luma: Any) -> Fingerprint | None:
    if luma.std() < _MIN_DEVIATION:
        return None
    cosines = _cosines()
    coefficients = (cosines @ luma @ cosines.T).reshape(-1)
    middle = np.sort(coefficients)[len(coefficients) // 2]
    return Fingerprint(f"dct256:{np.packbits(coefficients >= middle).tobytes().hex()}")


@cache
def _cosines() -> Any:
    """Rows 1 to 16 of the DCT-II, unscaled [16, SIDE]."""
    import numpy as np

    place, wave = np.arange(SIDE), np.array(_KEPT)[:, None]
    return np.cos(np.pi * (2 * place + 1) * wave / (2 * SIDE))


def _area_sums(image: Image) -> Any:
    """For every corner between pixels, the sum of the luma above and to the left of it [height + 1, width + 1]."""
    import numpy as np

    luma = np.asarray(image.convert("L").reduce(max(1, min(image.size) // _FINE)), dtype=np.float64)
    return np.pad(luma.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _band(sums: Any, top: float, bottom: float) -> Any:
    """The sums at the edges of the rows of a region, by columns [width + 1, SIDE + 1]."""
    import numpy as np

    height = len(sums) - 1
    return np.ascontiguousarray(_at_edges(sums, top * height, bottom * height).T)


def _reduced(band: Any, region: Box, height: int) -> Any:
    """The means of SIDE x SIDE equal areas of a region [SIDE, SIDE], whose rows are those of `band`."""
    width = len(band) - 1
    left, top, right, bottom = region
    areas = _at_edges(band, left * width, right * width).T
    means = areas[1:, 1:] - areas[:-1, 1:] - areas[1:, :-1] + areas[:-1, :-1]
    return means / ((bottom - top) * height * (right - left) * width / SIDE**2)


def _at_edges(sums: Any, first: float, last: float) -> Any:
    """`sums` along its first axis at the SIDE + 1 edges of SIDE equal parts; between pixels, in proportion."""
    import numpy as np

    edges = np.linspace(first, last, SIDE + 1)
    below = np.minimum(edges.astype(int), len(sums) - 2)
    part = (edges - below)[:, None]
    return sums[below] * (1 - part) + sums[below + 1] * part
