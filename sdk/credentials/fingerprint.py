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
from functools import cache, lru_cache
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

    luma = np.asarray(image.convert("L").reduce(max(1, min(image.size) // _FINE)), dtype=np.float64)
    bands = dict[tuple[float, float], Any]()
    found, regions = [], tuple(regions)
    for left, top, right, bottom in regions:
        if (top, bottom) not in bands:  # many regions have their rows in common
            bands[top, bottom] = _waves(len(luma), top, bottom) @ luma
        found.append(bands[top, bottom] @ _waves(luma.shape[1], left, right).T)
    coefficients = np.stack(found).reshape(len(found), -1)
    deviations = 2 * np.sqrt((coefficients**2).sum(axis=1)) / SIDE**2
    flat = (_is_flat(luma, region, deviation) for region, deviation in zip(regions, deviations, strict=True))
    return tuple(None if is_flat else bits for is_flat, bits in zip(flat, _above_median(coefficients), strict=True))


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


def _above_median(coefficients: Any) -> list[Fingerprint]:
    """A fingerprint for each row [regions, 256]."""
    import numpy as np

    middle = np.sort(coefficients)[:, coefficients.shape[1] // 2, None]
    return [Fingerprint(f"dct256:{bits.tobytes().hex()}") for bits in np.packbits(coefficients >= middle, axis=1)]


def _is_flat(luma: Any, region: Box, kept: float) -> bool:
    """Whether the reduced region deviates too little. The kept coefficients alone mostly say that it deviates enough."""
    if kept >= _MIN_DEVIATION:
        return False
    left, top, right, bottom = region
    reduced = _means(len(luma), top, bottom) @ luma @ _means(luma.shape[1], left, right).T
    return bool(reduced.std() < _MIN_DEVIATION)


@lru_cache(maxsize=256)
def _waves(length: int, first: float, last: float) -> Any:
    """How the pixels of a line add up to the waves of its part from `first` to `last` [16, length]."""
    return _cosines() @ _means(length, first, last)


def _means(length: int, first: float, last: float) -> Any:
    """The means over SIDE equal pieces of a part of a line, whose ends cut pixels in proportion [SIDE, length]."""
    import numpy as np

    edges, pixels = np.linspace(first * length, last * length, SIDE + 1)[:, None], np.arange(length)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.clip(covered, 0, None) * SIDE / ((last - first) * length)


@cache
def _cosines() -> Any:
    """Rows 1 to 16 of the DCT-II, unscaled [16, SIDE]."""
    import numpy as np

    place, wave = np.arange(SIDE), np.array(_KEPT)[:, None]
    return np.cos(np.pi * (2 * place + 1) * wave / (2 * SIDE))
