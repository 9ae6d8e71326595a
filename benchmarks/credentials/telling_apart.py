"""Which copies fingerprints find, and which strangers they take for copies: no database, every pair compared.

Pictures are the five examples, sixteen drawings of the base model that ships and, where scikit-image is installed (extra
`mini`), the photographs that come with it, whole and in quarters. A quarter is another picture than its neighbours and
than the whole. Chessboards are left out: all their squares are the same pixels. Copies are cut by up to a tenth of each side and recompressed.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from sdk.credentials.fingerprint import fingerprints_of_crops, fingerprints_of_output, fingerprints_of_query
from sdk.spec.fingerprint import Fingerprint
from sdk.spec.identify import NEAR

_SMALLEST: Final = 96  # pixels; smaller tiles show next to nothing
_TEST_CARDS: Final = "chessboard"
_ROOT: Final = Path(__file__).resolve().parents[2]


def measure_telling_apart(copies: int) -> dict[str, Any]:
    """Copies found out of all, and strangers within `NEAR` bits out of all ordered pairs."""
    pictures = [*_examples(), *_photographs()]
    held = [_bits(fingerprints_of_output(picture)) for picture in pictures]
    chosen = random.Random(1)  # noqa: S311 - no secret
    found = {"near": 0, "equal_part": 0}
    furthest = 0
    for picture, own in zip(pictures, held, strict=True):
        for _ in range(copies):
            copy = _cut(picture, chosen)
            asked = _bits((*fingerprints_of_query(copy), *fingerprints_of_crops(copy)))
            distances = _distances(asked, own)
            furthest = max(furthest, int(distances.min(initial=256)))
            found["near"] += bool((distances <= NEAR).any())
            found["equal_part"] += bool((distances[_share_a_part(asked, own)] <= NEAR).any())
    strangers = _strangers(pictures, held)
    return {
        "bench": "telling_apart",
        "pictures": len(pictures),
        "copies": copies * len(pictures),
        "found": found,
        "furthest_copy": furthest,
        "pairs": len(pictures) * (len(pictures) - 1),
        **strangers,
    }


def _strangers(pictures: Sequence[Image.Image], held: Sequence[Any]) -> dict[str, Any]:
    """Ordered pairs of different pictures, asked whole and as crops: how many are within `NEAR`, and the nearest."""
    owners = np.concatenate([np.full(len(each), index) for index, each in enumerate(held)])
    everything = np.concatenate(held)
    near, nearest = 0, 256
    for index, picture in enumerate(pictures):
        asked = _bits((*fingerprints_of_query(picture), *fingerprints_of_crops(picture)))
        distances = _distances(asked, everything).min(axis=0, initial=256)
        by_other = np.array([distances[owners == other].min(initial=256) for other in range(len(pictures))])
        by_other[index] = 256
        near += int((by_other <= NEAR).sum())
        nearest = min(nearest, int(by_other.min()))
    return {"strangers_within_near": near, "nearest_stranger": nearest}


def _bits(fingerprints: Sequence[Fingerprint]) -> Any:
    """The bits [n, 4] as unsigned 64-bit numbers."""
    content = b"".join(bytes.fromhex(held.removeprefix("dct256:")) for held in fingerprints)
    return np.frombuffer(content, dtype=">u8").astype(np.uint64).reshape(-1, 4)


def _distances(asked: Any, held: Any) -> Any:
    """The bits that differ [asked, held]."""
    return np.bitwise_count(asked[:, None] ^ held[None]).sum(axis=2, dtype=np.int64)


def _share_a_part(asked: Any, held: Any) -> Any:
    """Whether two have one of their sixteen 16-bit parts in common [asked, held]."""
    parts = [
        np.stack([(bits >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)])
        for bits in (asked, held)
    ]
    return (parts[0][:, :, None] == parts[1][:, None]).any(axis=(0, 3))


def _cut(picture: Image.Image, chosen: random.Random) -> Image.Image:
    left, top, right, bottom = (chosen.uniform(0, 0.1) for _ in range(4))
    box = (left * picture.width, top * picture.height, (1 - right) * picture.width, (1 - bottom) * picture.height)
    content = io.BytesIO()
    picture.crop(tuple(map(round, box))).save(content, "JPEG", quality=chosen.choice((50, 75, 95)))  # type: ignore[arg-type]
    return Image.open(content).convert("RGB")


def _examples() -> list[Image.Image]:
    sheet = Image.open(_ROOT / "trainer/mini/contact-sheet.png").convert("RGB")
    drawn = [sheet.crop((x, y, x + 128, y + 128)) for y in (0, 128) for x in range(0, 1024, 128)]
    return [*(Image.open(path).convert("RGB") for path in sorted((_ROOT / "examples/pictures").glob("*.png"))), *drawn]


def _photographs() -> list[Image.Image]:
    """What comes with scikit-image, whole and in quarters; nothing where it is not installed."""
    try:
        import skimage
    except ImportError:
        return []
    folder = Path(skimage.__file__).parent / "data"
    paths = sorted((*folder.glob("*.png"), *folder.glob("*.jpg")))
    whole = [Image.open(path).convert("RGB") for path in paths if not path.name.startswith(_TEST_CARDS)]
    return [each for picture in whole for each in (picture, *_quarters(picture))]


def _quarters(picture: Image.Image) -> list[Image.Image]:
    width, height = picture.width // 2, picture.height // 2
    if min(width, height) < _SMALLEST:
        return []
    return [picture.crop((x, y, x + width, y + height)) for x in (0, width) for y in (0, height)]
