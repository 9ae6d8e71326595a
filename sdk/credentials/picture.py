"""Reading a picture that came from anywhere: one still RGB picture, or a clear answer why not. Nothing is fetched or run.

Every size is bounded before pixels are decoded. Metadata is not interpreted, but for the orientation that viewers obey.
Of an animation the first picture counts; 16-bit, 32-bit, palette, CMYK and transparent pictures become RGB over white.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import InputError
from sdk.pictures import UNREADABLE, to_eight_bits, upright

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES: Final = 64 * 2**20  # of a file
MAX_PIXELS: Final = 50_000_000
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
_MAGIC: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
)


def media_type(content: bytes) -> str | None:
    """What kind of picture a file begins as, whatever it is called; none for kinds that carry no Content Credentials."""
    found = (kind for start, magic, kind in _MAGIC if content[start : start + len(magic)] == magic)
    return next(found, None)


def read_picture(content: bytes) -> Image:
    """The picture in a file, upright, as RGB.

    Raises:
        InputError: it is too large, or no picture that can be read.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if len(content) > MAX_BYTES:
        raise InputError(f"the file has {len(content)} bytes; at most {MAX_BYTES} are read: scale the picture down")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(content), formats=_FORMATS) as opened:
                _require_size(opened)
                return _as_rgb(opened)
    except Pillow.DecompressionBombError as exc:
        raise InputError(f"the picture is too large: {exc}; scale it down, what it shows is enough") from exc
    except UnidentifiedImageError as exc:
        raise InputError("this is no picture that can be read; give a PNG, JPEG or WebP file") from exc
    except UNREADABLE as exc:
        raise InputError(f"this is no picture that can be read: {exc}; give a PNG, JPEG or WebP file") from exc


def _require_size(opened: Any) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"the picture is too large: {width} x {height} pixels, at most {MAX_PIXELS} are read; scale it down, what "
            "it shows is enough"
        )


def _as_rgb(opened: Any) -> Image:
    from PIL import Image as Pillow

    opened.load()
    shown = to_eight_bits(upright(opened))
    if shown.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in shown.info:
        layer = shown.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return shown.convert("RGB")
