"""Sprites: every usable emoji drawn once per style as a square premultiplied RGBA picture, in one cached array file.

Text-like signs, flags, clocks, keycaps, skin tones, people and hands are left out: they are no objects. Held-out
names are rendered into their own bank, which only `examples.py` and the evaluation read.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.mini.corpus import sources
from trainer.mini.corpus.vocabulary import held_out

STYLES = ("3d", "color", "flat", "noto")
_NO_OBJECT = re.compile(
    r"\b(arrow|button|symbol|flag|clock|thirty|keycap|sign\b|square|circle|mark|person|people|woman|man\b|men\b|girl|boy"
    r"|hand|finger|family|couple|kiss|baby-(angel|symbol)|selfie|japanese|input-|banknote|prohibited|chart|muscle|fist"
    r"|aries|taurus|gemini|cancer|leo|virgo|libra|scorpio\b|sagittarius|capricorn|aquarius|pisces|ophiuchus|no-"
    r"|transgender|letter|bust|biceps|foot$|leg$|ear$|ear-with|nose|prince|guard|merm|elf\b|fairy|mage\b|vampire|zombie|genie"
    r"|suit$|supervillain|superhero|heavy|plus|minus|divide|multiply|infinity|wavy|curly|asterisk|star-of|wheel-of)"
)


@dataclass(frozen=True, kw_only=True)
class SpriteBank:
    """`pixels[i]` is the premultiplied RGBA picture of icon `icons[i]` in style `styles[i]`."""

    icons: tuple[str, ...]
    styles: tuple[str, ...]
    pixels: NDArray[np.uint8]

    def where(self, icon: str, styles: tuple[str, ...] = STYLES) -> list[int]:
        """Indices of one icon in the given styles."""
        pairs = enumerate(zip(self.icons, self.styles, strict=True))
        return [index for index, (name, style) in pairs if name == icon and style in styles]


def load_bank(cache_dir: Path, size: int, *, held_out_names: bool = False) -> SpriteBank:
    """The sprites at `size` pixels, rendered at the first call and read from the cache folder afterwards."""
    path = cache_dir / f"sprites-{'held-out' if held_out_names else 'seen'}-{size}.npz"
    if not path.exists():
        chosen = list(_render_all(cache_dir, size, held_out_names=held_out_names))
        icons, styles, pixels = zip(*chosen, strict=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, icons=np.array(icons), styles=np.array(styles), pixels=np.stack(pixels))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return SpriteBank(
            icons=tuple(map(str, stored["icons"])), styles=tuple(map(str, stored["styles"])), pixels=stored["pixels"]
        )


def is_held_out(icon: str) -> bool:
    """True for a held-out name and for its relatives: every word of a held-out name occurs in `icon`."""
    words = set(icon.split("-"))
    return any(set(name.split("-")) <= words for name in held_out())


def _render_all(cache_dir: Path, size: int, *, held_out_names: bool) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    characters = sources.read_characters(cache_dir)
    renders = sources.read_renders(cache_dir)
    vector = {
        "color": sources.read_icons(sources.FLUENT_COLOR, cache_dir),
        "flat": sources.read_icons(sources.FLUENT_FLAT, cache_dir),
        "noto": sources.read_icons(sources.NOTO, cache_dir),
    }
    for code, icon in characters.items():
        render = renders.get(code) or renders.get(f"{code}-fe0f")
        if "-" in code or _NO_OBJECT.search(icon) or is_held_out(icon) != held_out_names or render is None:
            continue
        if held_out_names and icon not in held_out():
            continue
        yield icon, "3d", _fit(_read_render(render), size)
        for style, icons in vector.items():
            body = icons["icons"].get(icon, {}).get("body")
            if body is not None:
                yield icon, style, _fit(_draw_svg(body, icons.get("width", 32), 2 * size), size)


def _read_render(render: bytes) -> Image.Image:
    return Image.open(io.BytesIO(render)).convert("RGBA")


def _draw_svg(body: str, box: int, pixels: int) -> Image.Image:
    import resvg_py

    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {box} {box}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=pixels, height=pixels)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def _fit(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """Crop to the visible part, centre it in a square that leaves a 2 % border, premultiply."""
    solid = picture.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0)
    picture = picture.crop(solid.getbbox() or (0, 0, *picture.size))
    inside = size - 2 * max(1, size // 50)
    scale = inside / max(picture.size)
    fitted = picture.convert("RGBa").resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BICUBIC
    )
    square = Image.new("RGBa", (size, size))
    square.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
    return np.asarray(square)
