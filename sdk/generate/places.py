"""Places for concepts as people give them: boxes in fractions of the canvas, or masks as pictures. No torch.

What is made of them in attention is `sdk.generate.layout`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from sdk.errors import SceneError
from sdk.pictures import UNREADABLE, to_eight_bits
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Box, Mask, Place

SMALLEST_SIDE: Final = 0.05  # of the canvas; less is no place for a concept
MASK_SIDE: Final = 512  # pixels; larger masks are made smaller, for attention has far fewer cells
MAX_MASK_PIXELS: Final = 4096 * 4096
Layout = Mapping[ConceptId, Place]
GivenPlace = Sequence[float] | Image.Image | Path | str
"""A box (left, top, right, bottom) in fractions of the canvas, or a mask: a picture or the path of one, white where."""


def parse_layout(places: Mapping[str, GivenPlace], names: Mapping[str, ConceptId]) -> dict[ConceptId, Place]:
    """Read boxes and masks by the names that the scene uses.

    Raises:
        SceneError: a name is none of the scene's concepts, a box does not lie on the canvas, or a mask is none.
    """
    if unknown := sorted(set(places) - set(names)):
        known = ", ".join(sorted(names))
        raise SceneError(f"the layout places {unknown[0]!r}, which is none of the concepts given: {known}")
    return {names[name]: parse_place(name, place) for name, place in places.items()}


def mask_picture(mask: Mask) -> Image.Image:
    """The mask as an 8-bit greyscale picture. Raises `SceneError` when it is none."""
    try:
        with Image.open(io.BytesIO(mask.png), formats=["PNG"]) as opened:
            return to_eight_bits(_bounded(opened, "a mask")).convert("L")
    except (*UNREADABLE, Image.DecompressionBombError) as exc:
        raise SceneError(f"a mask of the layout is no PNG picture: {exc}") from exc


def parse_place(name: str, place: GivenPlace) -> Place:
    """The place of the concept called `name`. Raises `SceneError`."""
    if isinstance(place, Path | str):
        return _read_mask(name, Path(place))
    if isinstance(place, Image.Image):
        return _make_mask(name, place)
    return _parse_box(name, place)


def _parse_box(name: str, box: Sequence[float]) -> Box:
    try:
        left, top, right, bottom = (float(side) for side in box)
    except (TypeError, ValueError, OverflowError) as exc:
        raise SceneError(
            f"the place of {name!r} is {box!r}; it is four numbers: left, top, right, bottom, or a mask"
        ) from exc
    sides = (0.0 <= left < right <= 1.0, 0.0 <= top < bottom <= 1.0)
    if not all(sides) or min(right - left, bottom - top) < SMALLEST_SIDE:
        raise SceneError(
            f"the box of {name!r} is {tuple(box)}; left, top, right and bottom are fractions of the canvas between 0 "
            f"and 1, and a side is at least {SMALLEST_SIDE}"
        )
    return Box(left, top, right, bottom)


def _read_mask(name: str, path: Path) -> Mask:
    try:
        with Image.open(path) as opened:
            return _make_mask(name, opened)
    except (*UNREADABLE, Image.DecompressionBombError) as exc:
        raise SceneError(f"the mask of {name!r} cannot be read at {path}: {exc}") from exc


def _make_mask(name: str, picture: Image.Image) -> Mask:
    """An 8-bit greyscale PNG without anything else in it, at most `MASK_SIDE` pixels a side."""
    grey = to_eight_bits(_bounded(picture, f"the mask of {name!r}")).convert("L")
    grey.thumbnail((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)
    white = sum(level * count for level, count in enumerate(grey.histogram())) / (255 * grey.width * grey.height)
    if white < SMALLEST_SIDE**2:
        raise SceneError(f"the mask of {name!r} is white on {white:.2%} of the canvas, which is no place for a concept")
    content = io.BytesIO()
    Image.frombytes("L", grey.size, grey.tobytes()).save(content, "PNG")
    return Mask(png=content.getvalue())


def _bounded(picture: Image.Image, what: str) -> Image.Image:
    if picture.width * picture.height > MAX_MASK_PIXELS:
        raise SceneError(f"{what} has {picture.width} x {picture.height} pixels; at most {MAX_MASK_PIXELS} are read")
    return picture
