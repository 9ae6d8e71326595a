"""A photo that concepts are drawn into: read as people give it, bounded, at the size that is drawn. No torch.

The photo stays with the application: what is recorded of it, and of the mask, is a digest.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from sdk.errors import InputError
from sdk.pictures import UNREADABLE, to_eight_bits, upright
from sdk.spec.digest import Digest
from sdk.spec.sampling import MAX_SIDE, SIDE_UNIT, PhotoEdit

MAX_PHOTO_BYTES: Final = 64 * 1_048_576
MAX_PHOTO_PIXELS: Final = 64_000_000
_FORMATS: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
GivenPhoto = bytes | Path | str
"""A file's bytes, or its path: PNG, JPEG or WebP."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo and where it is drawn into."""

    content: bytes  # the file as it was given: the parent of every image made from it
    media_type: str
    picture: Image.Image  # RGB, upright, at the size that is drawn
    mask: Image.Image | None  # 8-bit grey, of that size: white is drawn anew, black is kept; none: all of it
    strength: float  # 0 keeps the photo, 1 forgets it

    @property
    def edit(self) -> PhotoEdit:
        """What is recorded of it."""
        mask = Digest.of(self.mask.tobytes()) if self.mask else None
        return PhotoEdit(photo=Digest.of(self.content), mask=mask, strength=self.strength)


def read_photo(photo: GivenPhoto, mask: GivenPhoto | None, strength: float, size: tuple[int, int] | None) -> Photo:
    """Read a photo to be drawn at `size`, or as large as it is.

    Raises:
        InputError: it or its mask is no picture that can be read, or is too large.
    """
    content = _read(photo, "photo")
    upright, media_type = _decode(content, "photo")
    drawn = size or _fitting(upright.size)
    shape = None
    if mask is not None:
        grey, _ = _decode(_read(mask, "photo_mask"), "photo_mask")
        shape = to_eight_bits(grey).convert("L").resize(drawn, Image.Resampling.BILINEAR)
        if not shape.getbbox():
            raise InputError("photo_mask is black everywhere; it is white where something is drawn")
    picture = to_eight_bits(upright).convert("RGB").resize(drawn, Image.Resampling.LANCZOS)
    return Photo(content=content, media_type=media_type, picture=picture, mask=shape, strength=strength)


def _read(given: GivenPhoto, what: str) -> bytes:
    if isinstance(given, str | Path):
        try:
            if Path(given).stat().st_size > MAX_PHOTO_BYTES:
                raise InputError(f"{what} {given} is larger than {MAX_PHOTO_BYTES} bytes")
            return Path(given).read_bytes()
        except (OSError, ValueError) as exc:  # ValueError: no file can have this name
            raise InputError(f"{what} cannot be read at {str(given)!r}: {getattr(exc, 'strerror', exc)}") from exc
    if not isinstance(given, bytes) or len(given) > MAX_PHOTO_BYTES:
        raise InputError(f"{what} is the path of a picture or its bytes, at most {MAX_PHOTO_BYTES} of them")
    return given


def _decode(content: bytes, what: str) -> tuple[Image.Image, str]:
    try:
        with Image.open(io.BytesIO(content), formats=list(_FORMATS)) as opened:
            if opened.width * opened.height > MAX_PHOTO_PIXELS:
                raise InputError(f"{what} has {opened.width} x {opened.height} pixels; at most {MAX_PHOTO_PIXELS}")
            return upright(opened), _FORMATS[str(opened.format)]
    except (*UNREADABLE, Image.DecompressionBombError) as exc:
        raise InputError(f"{what} is no PNG, JPEG or WebP picture: {exc}") from exc


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    """The nearest size that can be drawn, as large as the photo where that is possible."""
    scale = min(1.0, MAX_SIDE / max(size))
    width, height = (max(SIDE_UNIT, round(side * scale / SIDE_UNIT) * SIDE_UNIT) for side in size)
    return min(width, MAX_SIDE), min(height, MAX_SIDE)
