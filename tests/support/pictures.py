"""Pictures to mark and find again, and what happens to copies of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[2]
Change = Callable[[Image.Image], Image.Image]


def photographs() -> list[Image.Image]:
    """The five example pictures."""
    return [Image.open(path).convert("RGB") for path in sorted((ROOT / "examples/pictures").glob("*.png"))]


def drawings() -> list[Image.Image]:
    """What the small base model draws, sixteen tiles of 128 pixels."""
    sheet = Image.open(ROOT / "trainer/mini/contact-sheet.png").convert("RGB")
    return [sheet.crop((x, y, x + 128, y + 128)) for y in (0, 128) for x in range(0, 1024, 128)]


def damaged_inside() -> bytes:
    """A PNG that begins well and has a broken part."""
    content = io.BytesIO()
    Image.effect_noise((300, 300), 90).convert("L").save(content, "PNG", compress_level=0)
    first, second = (content.getvalue().find(b"IDAT", start) for start in (0, 1000))
    assert first < second
    return content.getvalue()[:second] + b"ID\x01T" + content.getvalue()[second + 4 :]


def jpeg(quality: int) -> Change:
    return _saved_as("JPEG", quality)


def webp(quality: int) -> Change:
    return _saved_as("WEBP", quality)


def _saved_as(kind: str, quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        content = io.BytesIO()
        picture.save(content, kind, quality=quality)
        return Image.open(content).convert("RGB")

    return change


def scaled(factor: float) -> Change:
    return lambda picture: picture.resize(
        (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS
    )


def alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures are the same but for the rounding of their drawing: no channel of a pixel is off by two."""
    if one.size != other.size:
        return False
    return max(high for _, high in ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getextrema()) <= 1
