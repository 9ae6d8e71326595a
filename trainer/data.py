"""Pictures and concepts in: decoding, checking and cropping, before anything is trained.

Files are read defensively: a format allow-list, a pixel limit checked before decoding, EXIF rotation honoured. Every
refusal names the file and the mend. Things that can be trained but will disappoint come back as warnings, as values.
Whether somebody consented to the pictures is not decided here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sdk.errors import FormatError, TrainingInputError
from sdk.generate.tokens import placeholder_token
from sdk.pictures import to_eight_bits, upright
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind

FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_PICTURES: Final = 20
MAX_CONCEPTS: Final = 8
MAX_VECTORS: Final = 4  # embedding vectors a concept
MAX_PIXELS: Final = 40_000_000  # of one file, checked before decoding
MAX_BYTES: Final = 50_000_000  # of one file
MIN_SIDE: Final = 64  # pixels, shorter side
MAX_STEM: Final = 59  # characters; numbered, in masks/ under the longest concept id, it is still an ArtefactName
MAX_ASPECT: Final = 1.5  # longer side by shorter side; above it the crop is worth a warning


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


def load_training_set(
    pictures: Sequence[PictureSpec],
    concepts: Sequence[ConceptSpec],
    *,
    resolution: int,
    max_pixels: int = MAX_PIXELS,
    min_side: int = MIN_SIDE,
) -> TrainingSet:
    """Check, decode and crop everything. Each picture is cut to its central square and resized to `resolution`.

    Raises:
        TrainingInputError: the first thing that cannot be trained from; the message names the file and the mend.
    """
    _check_counts(pictures, concepts)
    _check_concepts(concepts)
    _check_membership(pictures, concepts)
    names = _unique_names([spec.path for spec in pictures])
    decoded = tuple(
        _load_picture(spec, name, resolution, max_pixels, min_side) for spec, name in zip(pictures, names, strict=True)
    )
    warnings = (*_warn_inseparable(pictures, concepts), *_warn_crops(decoded), *_warn_twins(decoded))
    return TrainingSet(pictures=decoded, concepts=tuple(concepts), resolution=resolution, warnings=warnings)


def placeholder_tokens(concepts: Iterable[str]) -> dict[str, str]:
    """Concept name to placeholder token, `<tenant-name>`.

    A token ends in ">", holds no other, and so is never a prefix of another and never ends in `_1`: readers that
    expand prompts by plain text replacement stay correct.

    Raises:
        TrainingInputError: two names give one token, as `a-b/c` and `a/b-c` do.
    """
    tokens: dict[str, str] = {}
    for concept in concepts:
        token = placeholder_token(ConceptId(concept))
        for other, taken in tokens.items():
            if taken == token:
                raise TrainingInputError(f"{other} and {concept} both give the token {token}; rename one of them")
        tokens[concept] = token
    return tokens


def _check_counts(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> None:
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise TrainingInputError(f"expected 1 to {MAX_PICTURES} pictures, found {len(pictures)}")
    if not 1 <= len(concepts) <= MAX_CONCEPTS:
        raise TrainingInputError(f"expected 1 to {MAX_CONCEPTS} concepts, found {len(concepts)}")


def _check_concepts(concepts: Sequence[ConceptSpec]) -> None:
    for name, count in Counter(concept.name for concept in concepts).items():
        if count > 1:
            raise TrainingInputError(f"concept {name} is listed {count} times; list it once")
        _check_name(name)
    placeholder_tokens(concept.name for concept in concepts)
    for concept in concepts:
        if not 1 <= concept.vectors <= MAX_VECTORS:
            raise TrainingInputError(
                f"concept {concept.name} asks for {concept.vectors} vectors; give it 1 to {MAX_VECTORS}"
            )


def _check_name(name: str) -> None:
    try:
        ConceptId(name)
    except FormatError as exc:
        raise TrainingInputError(f"concept name: {exc}") from exc


def _check_membership(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> None:
    known = {concept.name for concept in concepts}
    for picture in pictures:
        if not picture.concepts:
            raise TrainingInputError(f"{picture.path}: no concept is listed for it; list one or leave the picture out")
        for name in picture.concepts:
            if name not in known:
                raise TrainingInputError(
                    f"{picture.path}: concept {name} is not among the concepts to train ({', '.join(sorted(known))}); "
                    "correct its name or add it"
                )
        if len(set(picture.concepts)) < len(picture.concepts):
            raise TrainingInputError(f"{picture.path}: a concept is listed twice for it; list each once")
        _check_caption(picture)
        for name in picture.masks:
            if name not in picture.concepts:
                raise TrainingInputError(f"{picture.path}: a mask is given for {name}, which is not listed for it")
    for name in sorted(known - {name for picture in pictures for name in picture.concepts}):
        raise TrainingInputError(
            f"concept {name} is in no picture; list it for a picture that shows it or leave it out"
        )


def _check_caption(picture: PictureSpec) -> None:
    if picture.caption is None:
        return
    rest = picture.caption
    for name in picture.concepts:
        if picture.caption.count(f"{{{name}}}") != 1:
            raise TrainingInputError(
                f"{picture.path}: its caption should hold {{{name}}} once, as every concept listed for the picture"
            )
        rest = rest.replace(f"{{{name}}}", "")
    if "{" in rest or "}" in rest:
        raise TrainingInputError(f"{picture.path}: its caption names something in braces that is not listed for it")


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """File stems in letters, digits, `_` and `-`, made different by a number where two files share one."""
    names: list[str] = []
    for path in paths:
        stem = (re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "picture")[:MAX_STEM]
        candidates = (stem, *(f"{stem}-{number}" for number in range(2, len(paths) + 1)))
        names.append(next(name for name in candidates if name not in names))
    return names


def _load_picture(spec: PictureSpec, name: str, resolution: int, max_pixels: int, min_side: int) -> Picture:
    image = _decode(spec.path, max_pixels)
    width, height = image.size
    if min(width, height) < min_side:
        raise TrainingInputError(
            f"{spec.path}: {width} x {height} pixels is too small; "
            f"give a picture with at least {min_side} pixels on its shorter side"
        )
    side = min(width, height)
    crop = ((width - side) // 2, (height - side) // 2, side)
    pixels = _cut(_flatten(image), crop, resolution, Image.Resampling.LANCZOS)
    return Picture(
        name=name,
        concepts=tuple(spec.concepts),
        caption=spec.caption,
        pixels=torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous(),
        masks={
            key: _load_mask(path, spec.path, image.size, crop, resolution, max_pixels)
            for key, path in spec.masks.items()
        },
        size=image.size,
        crop=crop,
    )


def _decode(path: Path, max_pixels: int) -> Image.Image:
    """Open, check the header against the limits, and only then decode. The result is upright."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TrainingInputError(f"{path}: {size} bytes is over the limit of {MAX_BYTES}; save it smaller")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TrainingInputError(
                    f"{path}: {width} x {height} is over the limit of {max_pixels} pixels; scale it down"
                )
            image.load()
            return upright(image)
    except Image.DecompressionBombError as exc:
        raise TrainingInputError(f"{path}: it is over the limit of {max_pixels} pixels; scale it down") from exc
    except FileNotFoundError as exc:
        raise TrainingInputError(f"{path}: there is no such file; correct the path") from exc
    except UnidentifiedImageError as exc:
        raise TrainingInputError(
            f"{path}: this is not a JPEG, PNG or WebP picture that can be read; export it again as one of these"
        ) from exc
    except (OSError, ValueError, SyntaxError, EOFError) as exc:
        raise TrainingInputError(f"{path}: the picture is damaged ({exc}); export it again") from exc


def _flatten(image: Image.Image) -> Image.Image:
    """RGB on white where the picture was transparent."""
    image = to_eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _cut(image: Image.Image, crop: tuple[int, int, int], resolution: int, resample: Image.Resampling) -> np.ndarray:
    left, top, side = crop
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((resolution, resolution), resample))


def _load_mask(
    path: Path, picture: Path, size: tuple[int, int], crop: tuple[int, int, int], resolution: int, max_pixels: int
) -> Tensor:
    mask = _decode(path, max_pixels)
    if mask.size != size:
        raise TrainingInputError(
            f"{path}: the mask is {mask.size[0]} x {mask.size[1]} pixels, its picture {picture} is "
            f"{size[0]} x {size[1]}; save the mask at the picture's size"
        )
    mask = _with_alpha(mask)
    grey = mask.getchannel("A") if mask.mode in ("LA", "RGBA") and _is_cutout(mask) else _flatten(mask).convert("L")
    bits = _cut(grey, crop, resolution, Image.Resampling.BILINEAR) >= 128
    if not bits.any():
        raise TrainingInputError(f"{path}: the mask is empty within the central square; paint the concept white")
    return torch.from_numpy(bits.copy())


def _with_alpha(mask: Image.Image) -> Image.Image:
    """The mask with its transparency as a channel, where a palette or one colour says it; of 16-bit levels none is taken."""
    said_otherwise = mask.mode in ("P", "PA") or "transparency" in mask.info
    return mask.convert("RGBA") if said_otherwise and not mask.mode.startswith("I") else mask


def _is_cutout(mask: Image.Image) -> bool:
    """Whether the mask is carried by transparency."""
    low, high = mask.getchannel("A").getextrema()
    return low != high


def _warn_inseparable(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> list[str]:
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


def _warn_crops(pictures: Sequence[Picture]) -> list[str]:
    return [
        f"{picture.name}: only the central square of {picture.size[0]} x {picture.size[1]} pixels is used; "
        "crop the picture yourself if a concept is outside it."
        for picture in pictures
        if max(picture.size) > MAX_ASPECT * min(picture.size)
    ]


def _warn_twins(pictures: Sequence[Picture]) -> list[str]:
    return [
        f"{one.name} and {two.name} are the same picture: the second teaches nothing new."
        for one, two in combinations(pictures, 2)
        if torch.equal(one.pixels, two.pixels)
    ]
