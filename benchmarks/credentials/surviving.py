"""Which copies still lead back, by their watermark and by their fingerprints: the table of docs/credentials.md.

Each picture is brought to each size, marked, copied, and looked up as `imprimatur identify` looks up what was found:
with its mirror image, without borders, and as a crop. Nothing is asked of a database; a fingerprint counts as found
where the registry's lookup would find it.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from benchmarks.credentials.nearness import bits_of, distances, share_a_part
from benchmarks.credentials.pictures import examples, photographs
from sdk.credentials.fingerprint import fingerprints_of_output
from sdk.credentials.lookup import query_of, query_of_crops
from sdk.credentials.watermark import embed, new_watermark_id
from sdk.spec.identify import NEAR

Change = Callable[[Image.Image], Image.Image]
SIDES: Final = (128, 256, 512)  # pixels


def saved(kind: str, **options: int | bool) -> Change:
    """What a picture looks like after it was saved so."""

    def change(picture: Image.Image) -> Image.Image:
        content = io.BytesIO()
        picture.save(content, kind, **options)
        return Image.open(content).convert("RGB")

    return change


def resized(factor: float) -> Change:
    """A picture at another size."""
    return lambda picture: picture.resize(
        (round(factor * picture.width), round(factor * picture.height)), Image.Resampling.LANCZOS
    )


def cut(left: float, top: float, right: float, bottom: float) -> Change:
    """What is left when so much, in fractions, is cut from each side; saved as JPEG 75."""

    def change(picture: Image.Image) -> Image.Image:
        box = (left * picture.width, top * picture.height, (1 - right) * picture.width, (1 - bottom) * picture.height)
        return saved("JPEG", quality=75)(picture.crop(tuple(map(round, box))))  # type: ignore[arg-type]

    return change


def under_a_logo(picture: Image.Image) -> Image.Image:
    """A white box of half the width and a third of the height near its lower right corner."""
    covered = picture.copy()
    box = tuple(
        round(part * side) for part, side in zip((0.45, 0.6, 0.95, 0.93), (*picture.size, *picture.size), strict=True)
    )
    covered.paste("white", box)  # type: ignore[arg-type]
    return covered


def in_a_window(picture: Image.Image) -> Image.Image:
    """A screenshot: the picture, enlarged by a quarter, in a window on a plain desktop."""
    shown = resized(1.25)(picture)
    window = Image.new("RGB", (shown.width + 20, shown.height + 50), "white")
    window.paste(shown, (10, 40))
    desktop = Image.new("RGB", (window.width + 160, window.height + 90), "#335577")
    desktop.paste(window, (70, 30))
    return desktop


def on_a_page(picture: Image.Image) -> Image.Image:
    """A screenshot: the picture, enlarged by a quarter, between a heading, a line and another picture."""
    shown, other = resized(1.25)(picture), examples()[0]
    page = Image.new("RGB", (shown.width + 160, shown.height + other.height + 240), "white")
    pen = ImageDraw.Draw(page)
    pen.text((20, 20), "Look what I found", fill="black", font_size=24)
    pen.text((20, shown.height + 90), "12 comments", fill="black", font_size=14)
    page.paste(shown, (20, 70))
    page.paste(other, (20, shown.height + 140))
    return page


COPIES: Final[dict[str, Change]] = {
    "stripped of metadata, saved without loss": saved("WEBP", lossless=True),
    **{f"JPEG {quality}": saved("JPEG", quality=quality) for quality in (95, 75, 50)},
    **{f"WebP {quality}": saved("WEBP", quality=quality) for quality in (90, 80, 50)},
    **{f"AVIF {quality}": saved("AVIF", quality=quality) for quality in (75, 50)},
    "GIF, 256 colours": saved("GIF"),
    **{f"resized to {factor:.0%}": resized(factor) for factor in (2.0, 1.5, 0.75, 0.5)},
    "halved, then JPEG 50": lambda picture: saved("JPEG", quality=50)(resized(0.5)(picture)),
    "blurred by a pixel": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "brightened by a fifth": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "mirrored": ImageOps.mirror,
    "turned by two degrees": lambda picture: picture.rotate(2, Image.Resampling.BICUBIC),
    "cut by a tenth on every side": cut(0.1, 0.1, 0.1, 0.1),
    "cut unevenly by up to a tenth": cut(0.08, 0.02, 0.03, 0.1),
    "with a logo over a sixth of it": under_a_logo,
    "a screenshot in a window on a plain desktop": in_a_window,
    "a screenshot of a page with text and another picture": on_a_page,
}


@dataclass
class Found:
    """How often one kind of copy was found: by its watermark at each size, by its fingerprints and by either at all of them."""

    watermark: Counter[int]
    fingerprint: int = 0
    furthest: int = 0  # bits
    either: int = 0


def measure_surviving(sides: Sequence[int] = SIDES) -> dict[str, Any]:
    """What was found of each kind of copy, and of how many pictures of each size, all of which are copied every way."""
    pictures = [*examples(), *photographs()]
    found = {name: Found(Counter(dict.fromkeys(sides, 0))) for name in COPIES}
    carry = Counter[int]()
    for side in sides:
        for picture in pictures:
            mark, shown = new_watermark_id(), picture.resize((side, side), Image.Resampling.LANCZOS)
            embedded = embed(shown, mark)
            carry[side] += embedded is not None
            held = bits_of(fingerprints_of_output(embedded or shown))
            for name, change in COPIES.items():
                watermarks, near = _looked_up(change(embedded or shown), held)
                found[name].watermark[side] += mark in watermarks
                found[name].fingerprint += near <= NEAR
                found[name].furthest = max(near, found[name].furthest)
                found[name].either += mark in watermarks or near <= NEAR
    return {
        "bench": "surviving",
        "pictures": len(pictures),
        "carry_a_mark": carry,
        "copies": {name: vars(each) for name, each in found.items()},
    }


def _looked_up(copy: Image.Image, held: Any) -> tuple[Sequence[str], int]:
    """The watermarks that are read in a copy, and how many bits lie between it and what is on record."""
    query = query_of(b"", copy)
    whole = bits_of(query.fingerprints)
    near = int(distances(whole, held).min(initial=256))
    if near > NEAR:
        crops = bits_of(query_of_crops(query, copy).crops)
        near = min(near, int(distances(crops, held)[share_a_part(crops, held)].min(initial=256)))
    return query.watermarks, near
