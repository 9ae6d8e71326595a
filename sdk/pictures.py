"""Decoded pictures as they are meant: upright, and of 8 bits. Nothing is read here; what reading raises is `UNREADABLE`.

Pillow's own turning fails on damaged EXIF with errors of any class, and its own conversion cuts levels of 16 bits off at 255.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

UNREADABLE: Final = (OSError, SyntaxError, ValueError, TypeError, OverflowError, EOFError, struct.error, zlib.error)
"""What Pillow raises for a file that is damaged or no picture; of one that is too large, its `DecompressionBombError`."""
_WHITES: Final = {"F": (1, 255), "I": (255,)}  # of the modes that do not say what white is, beside 65535


_ORIENTATION: Final = 0x0112  # of EXIF
_TURNS: Final[dict[object, str]] = {  # by orientation, as `PIL.Image.Transpose` calls them; 1 is upright
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def upright(image: Image) -> Image:
    """A copy, turned as its EXIF says; where that cannot be read, as it is stored, which is how viewers show it."""
    from PIL.Image import Transpose

    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # of any class, as said above
        turn = None
    return image.copy() if turn is None else image.transpose(Transpose[turn])


def to_eight_bits(image: Image) -> Image:
    """The picture, with 8 bits where it was a grey one of 16 or 32.

    White is 65535, as PNG and TIFF mean it; where nothing is brighter, it is 255 of 32-bit numbers, and 1 of floats.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    import numpy as np
    from PIL import Image as Pillow

    levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    brightest = levels.max(initial=0)
    white = next((white for white in _WHITES.get(image.mode, ()) if brightest <= white), 65535)
    return Pillow.fromarray((levels * (255 / white)).clip(0, 255).round().astype(np.uint8))
