"""Which copies fingerprints find, and which strangers they take for copies: no database, every pair compared.

Pictures are the five examples, sixteen drawings of the base model that ships and, where scikit-image is installed (extra
`mini`), the photographs that come with it, whole and in quarters. Copies are cut by up to a tenth of each side and recompressed.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.credentials.nearness import bits_of, distances, share_a_part
from benchmarks.credentials.pictures import examples, photographs
from sdk.credentials.fingerprint import fingerprints_of_crops, fingerprints_of_output, fingerprints_of_query
from sdk.spec.identify import NEAR


def measure_telling_apart(copies: int) -> dict[str, Any]:
    """Copies found out of all, and strangers within `NEAR` bits out of all ordered pairs."""
    pictures = [*examples(), *photographs(quartered=True)]
    held = [bits_of(fingerprints_of_output(picture)) for picture in pictures]
    chosen = random.Random(1)  # noqa: S311 - no secret
    found = {"near": 0, "equal_part": 0}
    furthest = 0
    for picture, own in zip(pictures, held, strict=True):
        for _ in range(copies):
            copy = _cut(picture, chosen)
            asked = bits_of((*fingerprints_of_query(copy), *fingerprints_of_crops(copy)))
            apart = distances(asked, own)
            furthest = max(furthest, int(apart.min(initial=256)))
            found["near"] += bool((apart <= NEAR).any())
            found["equal_part"] += bool((apart[share_a_part(asked, own)] <= NEAR).any())
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
        asked = bits_of((*fingerprints_of_query(picture), *fingerprints_of_crops(picture)))
        apart = distances(asked, everything).min(axis=0, initial=256)
        by_other = np.array([apart[owners == other].min(initial=256) for other in range(len(pictures))])
        by_other[index] = 256
        near += int((by_other <= NEAR).sum())
        nearest = min(nearest, int(by_other.min()))
    return {"strangers_within_near": near, "nearest_stranger": nearest}


def _cut(picture: Image.Image, chosen: random.Random) -> Image.Image:
    left, top, right, bottom = (chosen.uniform(0, 0.1) for _ in range(4))
    box = (left * picture.width, top * picture.height, (1 - right) * picture.width, (1 - bottom) * picture.height)
    content = io.BytesIO()
    picture.crop(tuple(map(round, box))).save(content, "JPEG", quality=chosen.choice((50, 75, 95)))  # type: ignore[arg-type]
    return Image.open(content).convert("RGB")
