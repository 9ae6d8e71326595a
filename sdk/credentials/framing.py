"""Pictures in a screenshot: what is left when it is cut along plain rows and columns (XY cuts, Nagy and Seth 1984).

A desktop, a window in it, a page with text and other pictures: each is a background of one colour with something on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_TOLERANCE: Final = 8  # grey levels by which a background may differ from its corner's colour
_GAP: Final = 3  # rows or columns of background between one thing and the next
_SMALLEST: Final = 0.1  # of each side; less is text, or no picture that could be told from another
_DEPTH: Final = 6  # of cuts in what was cut
_MOST: Final = 6


def pictures_in(image: Image) -> Iterator[Image]:
    """Parts of an image that may be pictures, largest first; nothing when it has no background.

    A plain edge of the picture itself, such as a sky, may be taken for background: what comes out is to be tried, not believed.
    """
    import numpy as np

    pixels = np.asarray(image.convert("RGB"), dtype=np.int16)
    height, width = (round(_SMALLEST * side) for side in pixels.shape[:2])
    parts = _parts(pixels, (height, width), _DEPTH)
    for part in sorted(parts, key=lambda part: -part.size)[:_MOST]:
        yield _image(part)


def _parts(pixels: Any, smallest: tuple[int, int], depth: int) -> Iterator[Any]:
    for part in _cut(pixels, smallest) if depth else ():
        yield part
        yield from _parts(part, smallest, depth - 1)


def _cut(pixels: Any, smallest: tuple[int, int]) -> list[Any]:
    """The things on a background; nothing if there is none, or no thing that is large enough."""
    import numpy as np

    for corner in (pixels[0, 0], pixels[-1, -1]):
        other = np.abs(pixels - corner).max(axis=2) > _TOLERANCE
        found = [
            pixels[top:bottom, left:right]
            for top, bottom in _spans(other.any(axis=1), smallest[0])
            for left, right in _spans(other[top:bottom].any(axis=0), smallest[1])
        ]
        if found and found[0].shape != pixels.shape:
            return found
    return []


def _spans(used: Any, shortest: int) -> list[tuple[int, int]]:
    """Where something is, from and to, [n]; smaller gaps than `_GAP` count as something."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.pad(used, 1).astype(np.int8)))
    gaps = np.flatnonzero(edges[2::2] - edges[1:-1:2] >= _GAP)
    starts, ends = edges[np.r_[0, 2 * gaps + 2][: len(edges)]], edges[np.r_[2 * gaps + 1, -1][: len(edges)]]
    return [(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if end - start >= shortest]


def _image(pixels: Any) -> Image:
    import numpy as np
    from PIL import Image

    return Image.fromarray(pixels.astype(np.uint8))
