"""From files and lists to a training set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trainer.data.checks import check_concepts, check_counts, check_membership
from trainer.data.pictures import MAX_PIXELS, MIN_SIDE, load_picture
from trainer.data.values import ConceptSpec, PictureSpec, TrainingSet
from trainer.data.warnings import warn_crops, warn_inseparable, warn_twins

MAX_STEM: Final = 59  # characters; numbered, in masks/ under the longest concept id, it is still an ArtefactName


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
    check_counts(pictures, concepts)
    check_concepts(concepts)
    check_membership(pictures, concepts)
    names = _unique_names([spec.path for spec in pictures])
    decoded = tuple(
        load_picture(spec, name, resolution, max_pixels, min_side) for spec, name in zip(pictures, names, strict=True)
    )
    warnings = (*warn_inseparable(pictures, concepts), *warn_crops(decoded), *warn_twins(decoded))
    return TrainingSet(pictures=decoded, concepts=tuple(concepts), resolution=resolution, warnings=warnings)


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """File stems in letters, digits, `_` and `-`, made different by a number where two files share one."""
    names: list[str] = []
    for path in paths:
        stem = (re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "picture")[:MAX_STEM]
        candidates = (stem, *(f"{stem}-{number}" for number in range(2, len(paths) + 1)))
        names.append(next(name for name in candidates if name not in names))
    return names
