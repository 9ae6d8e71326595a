"""A screenshot without what surrounds the picture in it: plain borders, one inside another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_TOLERANCE: Final = 8  # grey levels by which a border may differ from its corner's colour
_SMALLEST: Final = 0.1  # of the side; less is no picture inside
_BORDERS: Final = 3  # one inside another: a desktop, a window, a margin


def without_borders(image: Image) -> Iterator[Image]:
    """The picture inside its border, the one inside the next, and so on; nothing when it has none.

    A plain edge of the picture itself, such as a sky, may be taken for border: what comes out is to be tried, not believed.
    """
    import numpy as np

    pixels = np.asarray(image.convert("RGB"), dtype=np.int16)
    height, width = pixels.shape[:2]
    for _ in range(_BORDERS):
        inside = _inside(pixels)
        if inside is None or min(inside.shape[0] / height, inside.shape[1] / width) < _SMALLEST:
            return
        pixels = inside
        yield _image(pixels)


def _inside(pixels: Any) -> Any:
    """The smallest rectangle around everything that is not of a corner's colour; none if that is everything."""
    import numpy as np

    for corner in (pixels[0, 0], pixels[-1, -1]):
        other = np.abs(pixels - corner).max(axis=2) > _TOLERANCE
        rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
        if len(rows) and (len(rows), len(columns)) != pixels.shape[:2]:
            inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            if inside.shape != pixels.shape:
                return inside
    return None


def _image(pixels: Any) -> Image:
    import numpy as np
    from PIL import Image

    return Image.fromarray(pixels.astype(np.uint8))
