"""A small network and simple sprites for tests of the benchmark: nothing is fetched, and all rows run in seconds."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
from support import tiny_backbone

from benchmarks.concepts.scenes import RECIPES, SWEEP_RECIPES
from trainer.mini.corpus.sprites import SpriteBank

EXTRA_WORDS = [
    *("animal", "field", "instrument", "rendering", "cropped", "bright", "good", "close", "up", "snow", "sandy"),
    *("car", "apple", "grass", "wooden", "table", "toy", "room", "vehicle", "desert"),
]


def make_bench_backbone(directory: Path) -> Path:
    """The tiny network with a tokenizer that knows the words of the first two scenes."""
    with mock.patch.object(tiny_backbone, "WORDS", [*tiny_backbone.WORDS, *EXTRA_WORDS]):
        return tiny_backbone.make_backbone_dir(directory, "sd")


def disc_bank() -> SpriteBank:
    """A disc of another colour for every name of the recipes, premultiplied."""
    names = tuple(sorted({name for recipe in (*RECIPES, *SWEEP_RECIPES) for name in recipe.concepts}))
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    alpha = (np.hypot(x, y) < 0.95).astype(np.uint8) * 255
    discs = [np.dstack([alpha // 255 * level for level in rng.integers(30, 255, 3)] + [alpha]) for _ in names]
    return SpriteBank(icons=names, styles=("3d",) * len(names), pixels=np.stack(discs).astype(np.uint8))
