"""An invisible watermark: a random id of 61 bits in the picture itself, for copies that lost their Content Credentials.

A blind mark in the DCT domain with informed embedding (Malvar and Florencio, "Improved Spread Spectrum", 2003):
1. The luma is brought to a square frame, so that a resized picture needs no search. Small pictures have a coarser one.
2. Each of the 127 bits of a BCH(127, 64) code word owns coefficients of low frequency, scattered over the frame's
   8 x 8 blocks. A bit reads as the sign of their mean, each turned over or not by a fixed key.
3. Embedding moves each mean to a margin on the right side, and no further than it must; textured blocks carry more.
4. Reading takes the code word that the means speak for, if they agree with it better than noise does.
A cropped picture is another frame, and its mark is lost. The places and signs are public: whoever knows them can remove
a mark or copy it into another picture. It is a lead, as a fingerprint is.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sdk.credentials import bch
from sdk.spec.watermark import WATERMARK_BITS, WatermarkId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]

SMALLEST_SIDE: Final = 128  # pixels; smaller pictures carry none
_BLOCK: Final = 8
_WAVES: Final = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))  # rows and columns of the DCT
_FINE, _COARSE = 256, 128  # sides of the two frames, in cells
_MARGINS: Final = {_FINE: 2.0, _COARSE: 3.0}  # of a bit's mean, in grey levels of the orthonormal DCT
_SHARES: Final = (0.1, 3.0)  # the least and the most that a block takes of a bit's change: a flat one, a textured one
_TEXTURED: Final = 10.0  # grey levels of deviation that let a block take one share more
_LIMIT: Final = 24.0  # coefficients count no more than this, or their mean size: edges would drown the mark
_SILENCE: Final = 0.2  # of the means' size; a flat picture says nothing
_BELIEVED: Final = 0.9  # the least agreement with a code word; of noise, one in 300 has it
_EMBEDDED: Final = 0.97  # the least agreement in a picture that is said to carry a mark
_PASSES: Final = 3
_KEY: Final = b"imprimatur watermark 1"


def new_watermark_id() -> WatermarkId:
    """An id that nobody can foresee."""
    return WatermarkId(f"wm61:{1 + secrets.randbelow(2**WATERMARK_BITS - 1):016x}")


def embed(image: Image, mark: WatermarkId) -> Image | None:
    """The picture with the mark in it; none when it is too small, or of such pixels that the mark could not be read."""
    import numpy as np

    if min(image.size) < SMALLEST_SIDE:
        return None
    pixels = np.asarray(image.convert("RGB"), dtype=np.int16)
    wanted = _signs_of(bch.encode(mark.number))
    side = _FINE if min(image.size) >= _FINE else _COARSE
    before = frame = _frame(image, side)
    for _ in range(_PASSES):
        frame = frame + _correction(frame, wanted)
    marked = _added(pixels, frame - before)
    return marked if _is_read(_means(_frame(marked, side)), wanted) else None


def extract(image: Image) -> WatermarkId | None:
    """The mark in a picture that is whole, at any scale; none when there is none that can be read."""
    readings = (_read(_means(_frame(image, side))) for side in (_FINE, _COARSE))
    agreement, mark = max(readings, key=lambda reading: reading[0])
    return mark if agreement >= _BELIEVED else None


def _is_read(means: Floats, wanted: Floats) -> bool:
    """Whether the means speak for the wanted code word so clearly that no other can be read, without searching for one.

    Another word differs in `DISTANCE` places at least; if even the weakest of these weigh more than all that is wrong,
    twice, it agrees less.
    """
    import numpy as np

    weights = np.abs(means)
    wrong = weights[means * wanted < 0].sum()
    weakest = np.sort(weights)[: bch.DISTANCE].sum()
    clear = wrong <= weights.sum() * (1 - _EMBEDDED) / 2 and weakest > 2 * wrong
    return bool(clear and weights.mean() >= _SILENCE)


def _read(means: Floats) -> tuple[float, WatermarkId | None]:
    """How far the means agree with the likeliest code word, and the mark that it is; 0 and none when it is none."""
    import numpy as np

    if np.abs(means).mean() < _SILENCE:
        return 0, None
    message, agreement = bch.decode(means)
    if not message or message >> WATERMARK_BITS:
        return 0, None
    return agreement, WatermarkId(f"wm61:{message:016x}")


def _frame(image: Image, side: int) -> Floats:
    """The luma in a frame [side, side]."""
    import numpy as np
    from PIL.Image import Resampling

    reduced = image.convert("L").convert("F").resize((side, side), Resampling.BILINEAR)
    return np.asarray(reduced, dtype=np.float32)


def _added(pixels: Any, change: Floats) -> Image:
    import numpy as np
    from PIL import Image
    from PIL.Image import Resampling

    height, width = pixels.shape[:2]
    grown = Image.fromarray(change).resize((width, height), Resampling.BICUBIC)
    steps = np.rint(np.asarray(grown)).astype(np.int16)[..., None]
    return Image.fromarray(np.clip(pixels + steps, 0, 255).astype(np.uint8))


@cache
def _basis() -> Any:
    """The kept waves of the orthonormal DCT-II of a block, each a flat block [waves, 64]."""
    import numpy as np

    place, wave = np.arange(_BLOCK), np.arange(_BLOCK)[:, None]
    line = np.cos(np.pi * (2 * place + 1) * wave / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    line[0] /= np.sqrt(2)
    return np.stack([np.outer(line[row], line[column]).reshape(-1) for row, column in _WAVES]).astype(np.float32)


@cache
def _places(side: int) -> tuple[Any, Any]:
    """Which coefficients of a frame each bit owns, and how each is turned, both [127, n]; from the key alone."""
    import numpy as np

    total = (side // _BLOCK) ** 2 * len(_WAVES)
    each = total // bch.LENGTH
    drawn = np.frombuffer(hashlib.shake_256(_KEY).digest(8 * total), dtype="<u8")
    order = np.argsort(drawn, kind="stable")[: bch.LENGTH * each]
    signs = np.where(drawn[order] & 1, np.float32(1), np.float32(-1))
    return order.reshape(bch.LENGTH, each), signs.reshape(bch.LENGTH, each)


def _blocks(frame: Floats) -> Any:
    """A frame by its blocks, row by row [blocks, 64]."""
    side = len(frame) // _BLOCK
    return frame.reshape(side, _BLOCK, side, _BLOCK).transpose(0, 2, 1, 3).reshape(-1, _BLOCK**2)


def _from_blocks(blocks: Any) -> Any:
    """The frame that has these blocks."""
    side = math.isqrt(len(blocks))
    return blocks.reshape(side, side, _BLOCK, _BLOCK).transpose(0, 2, 1, 3).reshape(side * _BLOCK, side * _BLOCK)


def _coefficients(frame: Floats) -> Any:
    """The kept coefficients of every block, flat [blocks * waves]."""
    return (_blocks(frame) @ _basis().T).reshape(-1)


def _means(frame: Floats) -> Any:
    """The mean of each bit's coefficients [127]."""
    limited, signs, _ = _limited(frame)
    return (limited * signs).mean(axis=1)


def _limited(frame: Floats) -> tuple[Any, Any, Any]:
    """Each bit's coefficients within the limit, how each is turned, and which are below the limit, all [127, n]."""
    import numpy as np

    order, signs = _places(len(frame))
    coefficients = _coefficients(frame)
    limit = np.float32(max(_LIMIT, float(np.abs(coefficients).mean())))
    owned = coefficients[order]
    return np.clip(owned, -limit, limit), signs, np.abs(owned) < limit


def _signs_of(word: int) -> Any:
    import numpy as np

    return np.where(bch.bits(word), np.float32(1), np.float32(-1))


def _correction(frame: Floats, wanted: Any) -> Any:
    """What to add to the frame so that every mean has the margin that it lacks."""
    import numpy as np

    order, _ = _places(len(frame))
    limited, signs, counted = _limited(frame)
    lacking = np.maximum(_MARGINS[len(frame)] - wanted * (limited * signs).mean(axis=1), 0)
    weights = _texture(frame)[order // len(_WAVES)] * counted
    share = weights / np.maximum(weights.mean(axis=1, keepdims=True), 0.1)
    change = np.zeros(frame.size // _BLOCK**2 * len(_WAVES), dtype=np.float32)
    change[order] = share * signs * (wanted * lacking)[:, None]
    return _from_blocks(change.reshape(-1, len(_WAVES)) @ _basis())


def _texture(frame: Floats) -> Any:
    """How much change each block hides [blocks]."""
    import numpy as np

    deviation = _blocks(frame).std(axis=1)
    return np.clip(_SHARES[0] + deviation / _TEXTURED, *_SHARES)
