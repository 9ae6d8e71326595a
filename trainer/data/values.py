"""What a training is given: concepts, pictures, and the two checked and decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torch import Tensor

from sdk.spec.manifest import ConceptKind


def is_spatial(kind: ConceptKind) -> bool:
    """Whether a concept of this kind takes up a part of the picture: a style is the manner of all of it."""
    return kind is not ConceptKind.STYLE


DEFAULT_CLASS_WORD: Final[Mapping[ConceptKind, str]] = {
    ConceptKind.SUBJECT: "object",
    ConceptKind.PERSON: "person",
    ConceptKind.CHARACTER: "character",
    ConceptKind.PRODUCT: "object",
    ConceptKind.LOGO: "logo",
    ConceptKind.STYLE: "style",
    ConceptKind.BACKGROUND: "background",
}


@dataclass(frozen=True, kw_only=True)
class ConceptSpec:
    """A concept to learn: `name` is `tenant/name`, `class_word` the ordinary word for such a thing ("" if none fits)."""

    name: str
    kind: ConceptKind
    class_word: str = ""
    vectors: int = 1


@dataclass(frozen=True, kw_only=True)
class PictureSpec:
    """A picture file and the names of the concepts in it.

    `caption` holds each concept's name in braces: "a photo of {demo/fox} at {demo/pier}". `masks` maps concept names
    to image files of the picture's own size, white where the concept is; they replace the E-step there.
    """

    path: Path
    concepts: tuple[str, ...]
    caption: str | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture: `pixels` uint8 [3, S, S], the square crop resized; `masks` bool [S, S] as the user gave them.

    `crop` is (left, top, side) in the upright original of `size` (width, height), pixels.
    """

    name: str
    concepts: tuple[str, ...]
    caption: str | None
    pixels: Tensor
    masks: Mapping[str, Tensor]
    size: tuple[int, int]
    crop: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Checked pictures and concepts, all pictures of one side `resolution` (pixels), and what may disappoint."""

    pictures: tuple[Picture, ...]
    concepts: tuple[ConceptSpec, ...]
    resolution: int
    warnings: tuple[str, ...]

    def concept(self, name: str) -> ConceptSpec:
        return next(concept for concept in self.concepts if concept.name == name)
