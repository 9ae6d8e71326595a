"""Pictures to mark, copy and find: the examples, drawings of the base model that ships, photographs.

A quarter of a photograph is another picture than its neighbours and than the whole. Chessboards are left out: all their
squares are the same pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image

_SMALLEST: Final = 96  # pixels; smaller tiles show next to nothing
_TEST_CARDS: Final = "chessboard"
_ROOT: Final = Path(__file__).resolve().parents[2]


def examples() -> list[Image.Image]:
    """Five pictures of a fox in a lavender field, and sixteen drawings of the base model that ships."""
    sheet = Image.open(_ROOT / "trainer/mini/contact-sheet.png").convert("RGB")
    drawn = [sheet.crop((x, y, x + 128, y + 128)) for y in (0, 128) for x in range(0, 1024, 128)]
    return [*(Image.open(path).convert("RGB") for path in sorted((_ROOT / "examples/pictures").glob("*.png"))), *drawn]


def photographs(*, quartered: bool = False) -> list[Image.Image]:
    """What comes with scikit-image, whole or in quarters as well; nothing where it is not installed."""
    try:
        import skimage
    except ImportError:
        return []
    folder = Path(skimage.__file__).parent / "data"
    paths = sorted((*folder.glob("*.png"), *folder.glob("*.jpg")))
    whole = [Image.open(path).convert("RGB") for path in paths if not path.name.startswith(_TEST_CARDS)]
    return [each for picture in whole for each in (picture, *(_quarters(picture) if quartered else ()))]


def _quarters(picture: Image.Image) -> list[Image.Image]:
    width, height = picture.width // 2, picture.height // 2
    if min(width, height) < _SMALLEST:
        return []
    return [picture.crop((x, y, x + width, y + height)) for x in (0, width) for y in (0, height)]
