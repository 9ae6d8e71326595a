"""Captioned composites: what the denoiser and the evaluators train on. Item `index` of a seed is always the same."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.mini.corpus.captions import Caption, write_caption
from trainer.mini.corpus.compose import Composite, compose, crop_scene, place_objects
from trainer.mini.corpus.scenes import SCENES, Scene, paint_bank
from trainer.mini.corpus.sprites import load_bank
from trainer.mini.corpus.vocabulary import Thing, seen
from trainer.mini.presets import CorpusPreset


@dataclass(frozen=True, kw_only=True)
class Item:
    """A composite, what is in it, and a caption."""

    composite: Composite
    things: tuple[Thing, ...]
    scene: Scene
    caption: Caption


class CaptionedPictures:
    """Draws items of the seen names on the seen scenes."""

    def __init__(self, corpus: CorpusPreset, cache_dir: Path, seed: int) -> None:
        self._corpus, self._seed = corpus, seed
        self._bank = load_bank(cache_dir, corpus.sprite_size)
        self._scenes = paint_bank(SCENES, corpus.scene_size, corpus.scene_variants, seed)
        things = [thing for thing in seen(wide=corpus.wide) if thing.name in corpus.names or not corpus.names]
        self.things = tuple(thing for thing in things if self._bank.where(thing.icon, corpus.styles))
        self._sprites = [self._bank.where(thing.icon, corpus.styles) for thing in self.things]

    def item(self, index: int, *, count: int | None = None) -> Item:
        """Item `index`; `count` fixes the number of objects."""
        rng = np.random.default_rng((self._seed, index))
        odds = self._corpus
        one = 1 - odds.scene_only - odds.two_objects - odds.three_objects
        drawn = int(rng.choice(4, p=[odds.scene_only, one, odds.two_objects, odds.three_objects]))
        count = drawn if count is None else count
        chosen = [int(i) for i in rng.choice(len(self.things), count, replace=False)]
        place = int(rng.integers(len(SCENES)))
        scene: NDArray[np.uint8] = crop_scene(rng, self._scenes[place, rng.integers(odds.scene_variants)], odds.size)
        sprites = tuple(self._bank.pixels[rng.choice(self._sprites[i])] for i in chosen)
        composite = compose(scene, sprites, place_objects(rng, count) if count else ())
        things = tuple(self.things[i] for i in chosen)
        order = rng.permutation(count)
        return Item(
            composite=Composite(picture=composite.picture, masks=tuple(composite.masks[i] for i in order)),
            things=tuple(things[i] for i in order),
            scene=SCENES[place],
            caption=write_caption(rng, tuple(things[i] for i in order), SCENES[place]),
        )
