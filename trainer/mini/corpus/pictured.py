"""Composites whose captions say what a thing is by a picture of it: training for pseudo-words.

A learned concept is a point near the words, not one of them (textual inversion, Gal et al., arXiv 2208.01618), so the
denoiser must have read such points. In these items a *view* of an object or of the place stands for its name, behind
its class word; `train/pseudo_words.py` turns views into vectors. Objects come from every seen sprite, whether or not
the preset trains its name; colours are turned, so that a place or a thing may have any; and the class word is sometimes
another, so that the vectors have the last word. In a quarter of the items nothing but the class words is told, and they
are true: concept learning looks for its first masks with them. Held-out objects and places never occur.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from trainer.mini.corpus.captions import JOINTS, OPENINGS, Caption, with_article
from trainer.mini.corpus.compose import Composite, Pixels, compose, crop_scene, place_objects
from trainer.mini.corpus.scenes import PLACES, Scene, paint_bank
from trainer.mini.corpus.sprites import load_bank
from trainer.mini.corpus.vocabulary import Thing, kinds, seen
from trainer.mini.presets import CorpusPreset

VIEW_SIDE, VIEWS, PLACE = 48, 3, 2  # two objects and the place
_UNNAMED_KINDS = ("thing", "object")
_ANY_KIND = 0.3
_KINDS_ONLY = 0.25
_PREPOSITIONS = ("in", "in", "in", "on", "at")
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True, kw_only=True)
class PicturedItem:
    """A composite, a caption with pseudo-words, and the `views` (3, side, side, 3) uint8 that they stand for."""

    composite: Composite
    caption: Caption
    views: Pixels


class PicturedComposites:
    """Draws items; item `index` of a seed is always the same. `vectors` is how many a pseudo-word has."""

    def __init__(self, corpus: CorpusPreset, cache_dir: Path, seed: int, vectors: int) -> None:
        self._corpus, self._seed, self._vectors = corpus, seed, vectors
        self._bank = load_bank(cache_dir, corpus.sprite_size)
        self._places = paint_bank(PLACES, corpus.scene_size, corpus.scene_variants, seed)
        styles = zip(self._bank.icons, self._bank.styles, strict=True)
        self._sprites = [index for index, (_icon, style) in enumerate(styles) if style in corpus.styles]
        self._things = {thing.icon: thing for thing in seen(wide=True)}
        self._named = [i for i in self._sprites if self._is_named(self._bank.icons[i])]

    def item(self, index: int) -> PicturedItem:
        """One or two objects in a place; any of them may be a pseudo-word, and at least one is."""
        rng = np.random.default_rng((self._seed, 1, index))
        count = int(rng.choice(3, p=(0.08, 0.67, 0.25)))
        pictured = [bool(rng.random() < 0.75) for _ in range(count)]
        place_pictured = not any(pictured) or bool(rng.random() < 0.6)
        where = int(rng.integers(len(PLACES)))
        place = self._places[where, rng.integers(self._corpus.scene_variants)]
        place = turn_colours(rng, place) if place_pictured and rng.random() < 0.6 else place
        chosen = [int(rng.choice(self._sprites if shown else self._named)) for shown in pictured]
        sprites = tuple(self._sprite(rng, i, pictured=shown) for i, shown in zip(chosen, pictured, strict=True))
        where_to = (
            place_objects(rng, count) if count else ()
        )  # from left to right: shuffled, or words would mean places
        placements = tuple(where_to[i] for i in rng.permutation(count))
        composite = compose(crop_scene(rng, place, self._corpus.size), sprites, placements)
        icons = [self._bank.icons[i] for i in chosen]
        return PicturedItem(
            composite=composite,
            caption=self._caption(rng, icons, pictured, PLACES[where], place_pictured=place_pictured),
            views=_views(sprites, place),
        )

    def _is_named(self, icon: str) -> bool:
        return icon in self._things and (not self._corpus.names or self._things[icon].name in self._corpus.names)

    def _sprite(self, rng: Generator, index: int, *, pictured: bool) -> Pixels:
        sprite = self._bank.pixels[index]
        return turn_colours(rng, sprite) if pictured and rng.random() < 0.3 else sprite

    def _caption(
        self, rng: Generator, icons: list[str], pictured: list[bool], scene: Scene, *, place_pictured: bool
    ) -> Caption:
        told = rng.random() < _KINDS_ONLY
        opening = str(rng.choice(OPENINGS))
        pieces = [(opening, -1, -1)] if opening else []
        for number, (icon, shown) in enumerate(zip(icons, pictured, strict=True)):
            if number:
                pieces.append((str(rng.choice(JOINTS)), -1, -1))
            thing = self._things.get(icon)
            if not shown:
                pieces += _named(thing, number)
            elif told:
                pieces += _told(_kind(rng, thing), number)
            else:
                pieces += self._pseudo_word(_any_kind(rng, kinds(wide=True), _kind(rng, thing)), number, number)
        if place_pictured:
            pieces += [(str(rng.choice(_PREPOSITIONS)), -1, -1)] if icons else []
            kinds_of_place = tuple(dict.fromkeys(place.kind for place in PLACES))
            pieces += (
                _told(scene.kind, -1)
                if told
                else self._pseudo_word(_any_kind(rng, kinds_of_place, scene.kind), PLACE, -1)
            )
        elif icons:
            pieces.append((str(rng.choice(scene.phrases)), -1, -1))
        words, owners, vectors = zip(*pieces, strict=True)
        return Caption(pieces=words, owners=owners, vectors=vectors)

    def _pseudo_word(self, kind: str, view: int, owner: int) -> list[tuple[str, int, int]]:
        return [(kind, owner, view * self._vectors + number) for number in range(self._vectors)]


def turn_colours(rng: Generator, pixels: Pixels) -> Pixels:
    """Turn the hue of RGB or premultiplied RGBA by any angle, and change the light a little."""
    colour = pixels[..., :3].astype(np.float32)
    luma = (colour @ _LUMA)[..., None]
    turned = luma + (colour - luma) @ _hue_rotation(rng.uniform(0, 2 * np.pi))
    limit = pixels[..., 3:].astype(np.float32) if pixels.shape[-1] == 4 else np.float32(255)
    light = np.clip(turned * rng.uniform(0.7, 1.1), 0, limit).astype(np.uint8)
    return np.concatenate([light, pixels[..., 3:]], axis=-1)


def _hue_rotation(angle: float) -> NDArray[np.float32]:
    """The rotation about the gray axis, (3, 3), to multiply from the right."""
    along = np.full((3, 3), 1 / 3)
    across = np.array(((0, -1, 1), (1, 0, -1), (-1, 1, 0))) / np.sqrt(3)
    turned = np.cos(angle) * (np.eye(3) - along) + np.sin(angle) * across + along
    return turned.T.astype(np.float32)


def _kind(rng: Generator, thing: Thing | None) -> str:
    return thing.kind if thing is not None else str(rng.choice(_UNNAMED_KINDS))


def _any_kind(rng: Generator, all_kinds: tuple[str, ...], true: str) -> str:
    return str(rng.choice(all_kinds)) if rng.random() < _ANY_KIND else true


def _told(kind: str, owner: int) -> list[tuple[str, int, int]]:
    return [(with_article(kind).split()[0], -1, -1), (kind, owner, -1)]


def _named(thing: Thing | None, owner: int) -> list[tuple[str, int, int]]:
    if thing is None:
        raise ValueError("an object without a name can only be pictured")
    return _told(thing.name, owner)


def _views(sprites: tuple[Pixels, ...], place: Pixels) -> Pixels:
    views = np.zeros((VIEWS, VIEW_SIDE, VIEW_SIDE, 3), np.uint8)
    for number, sprite in enumerate(sprites):
        on_gray = sprite[..., :3] + 127 * (1 - sprite[..., 3:].astype(np.float32) / 255)
        views[number] = _small(np.clip(on_gray, 0, 255).astype(np.uint8))
    views[PLACE] = _small(place)
    return views


def _small(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BOX))
