"""Grey pictures of 16 and 32 bits as pictures of 8, which Pillow's own conversion cuts off at 255. Nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITES: Final = {"F": (1, 255), "I": (255,)}  # of the modes that do not say what white is, beside 65535


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
