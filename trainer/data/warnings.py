"""What can be trained but will disappoint, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import torch

from sdk.spec.manifest import ConceptKind
from trainer.data.values import ConceptSpec, Picture, PictureSpec, is_spatial

MAX_ASPECT: Final = 1.5  # longer side by shorter side; above it the crop is worth a warning


def warn_inseparable(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> list[str]:
    """Name pairs that every picture shows together, with no words, kinds or masks to tell which is which."""
    shown = {c.name: {i for i, p in enumerate(pictures) if c.name in p.concepts} for c in concepts}
    masked = {c.name for c in concepts if any(c.name in p.masks for p in pictures)}
    warnings = []
    for one, two in combinations([c for c in concepts if is_spatial(c.kind)], 2):
        words_differ = one.class_word.strip() and two.class_word.strip() and one.class_word != two.class_word
        kinds_differ = ConceptKind.BACKGROUND in (one.kind, two.kind) and one.kind is not two.kind
        if shown[one.name] == shown[two.name] and not (words_differ or kinds_differ or {one.name, two.name} & masked):
            warnings.append(
                f"{one.name} and {two.name} are always together and nothing tells them apart: they may be learned as "
                "one, or each as the other. Give them different class words, a picture of one alone, or their masks in "
                "one picture."
            )
    return warnings


def warn_crops(pictures: Sequence[Picture]) -> list[str]:
    return [
        f"{picture.name}: only the central square of {picture.size[0]} x {picture.size[1]} pixels is used; "
        "crop the picture yourself if a concept is outside it."
        for picture in pictures
        if max(picture.size) > MAX_ASPECT * min(picture.size)
    ]


def warn_twins(pictures: Sequence[Picture]) -> list[str]:
    return [
        f"{one.name} and {two.name} are the same picture: the second teaches nothing new."
        for one, two in combinations(pictures, 2)
        if torch.equal(one.pixels, two.pixels)
    ]
