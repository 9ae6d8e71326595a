"""The scenes: two to four entangled concepts each, drawn again bit for bit, with the exact mask of every concept.

Objects and places are held out (`trainer/mini/corpus/heldout.txt`): the base model never saw them. Pictures of a scene
differ in layout, size, light and in what hides what. A mask is what is visible of its object by the sprite's alpha;
a place is what no object covers. Which sprites exist is the corpus's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from sdk.spec.manifest import ConceptKind
from trainer.data import ConceptSpec, Picture, TrainingSet
from trainer.mini.corpus import sources
from trainer.mini.corpus.compose import Placement, compose, crop_scene
from trainer.mini.corpus.scenes import PLACES, Scene
from trainer.mini.corpus.scenes_held_out import HELD_OUT_PLACES
from trainer.mini.corpus.sprites import SpriteBank, load_bank
from trainer.mini.corpus.vocabulary import held_out

SPRITE_SIZE = 160  # pixels
SEED = 20261124
TENANT = "bench"
VECTORS = 3  # embedding vectors a concept, for every method that lets one choose


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A scene in words: held-out names, and for each picture the positions in `concepts` of what it shows."""

    concepts: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def name(self) -> str:
        return "+".join(self.concepts)


@dataclass(frozen=True, kw_only=True)
class BenchScene:
    """A drawn scene. `owner` uint8 [N, S, S] holds the position of the concept each pixel shows, or `NOBODY`."""

    name: str
    concepts: tuple[ConceptSpec, ...]
    pictures: tuple[Picture, ...]
    owner: Tensor

    @property
    def resolution(self) -> int:
        return int(self.owner.shape[-1])

    def training_set(self) -> TrainingSet:
        """What a method is given: pictures and lists, no mask."""
        return TrainingSet(pictures=self.pictures, concepts=self.concepts, resolution=self.resolution, warnings=())

    def mask(self, picture: int, concept: str) -> Tensor:
        """The exact mask, bool [S, S]."""
        position = [spec.name for spec in self.concepts].index(concept)
        return self.owner[picture] == position


NOBODY = 255
TWO = ("01", "01", "01", "01")
RECIPES = (
    Recipe(concepts=("fox", "lavender-field"), shown=TWO),
    Recipe(concepts=("penguin", "guitar"), shown=TWO),
    Recipe(concepts=("pineapple", "stone-wall"), shown=("01", "01", "01")),
    Recipe(concepts=("raccoon", "taco", "checkered-floor"), shown=("012", "012", "012", "02", "12")),
    Recipe(concepts=("cupcake", "teddy-bear"), shown=("01", "01", "01")),
    Recipe(concepts=("parrot", "library"), shown=TWO),
    Recipe(concepts=("zebra", "giraffe", "canyon"), shown=("012", "012", "012", "02", "12")),
    Recipe(concepts=("tractor", "onion"), shown=TWO),
    Recipe(concepts=("flamingo", "palm-tree", "aurora"), shown=("012", "012", "012", "012")),
    Recipe(concepts=("mango", "eggplant", "graduation-cap"), shown=("012", "01", "12", "02", "012")),
    Recipe(concepts=("unicorn", "accordion", "bouquet", "lavender-field"), shown=("0123", "013", "123", "023", "0123")),
    Recipe(concepts=("llama", "motorcycle", "mushroom", "stone-wall"), shown=("0123", "013", "123", "023", "0123")),
)
SWEEP_RECIPES = (  # for choosing numbers, ours and the peers': no object of these is in the table
    Recipe(concepts=("dragon", "canyon"), shown=TWO),
    Recipe(concepts=("hedgehog", "helicopter"), shown=TWO),
    Recipe(concepts=("lobster", "kite", "library"), shown=("012", "012", "012", "02", "12")),
)


def held_out_bank(cache_dir: Path) -> SpriteBank:
    """The held-out sprites; their pinned packages are fetched at the first call."""
    if not (cache_dir / f"sprites-held-out-{SPRITE_SIZE}.npz").exists():
        for source in (sources.NOTO, sources.FLUENT_COLOR, sources.FLUENT_FLAT, sources.FLUENT_3D):
            sources.fetch(source, cache_dir)
    return load_bank(cache_dir, SPRITE_SIZE, held_out_names=True)


def draw_scenes(bank: SpriteBank, resolution: int, recipes: Sequence[Recipe] = RECIPES) -> tuple[BenchScene, ...]:
    """The scenes of `recipes` with pictures of `resolution` pixels."""
    return tuple(draw_scene(recipe, bank, resolution) for recipe in recipes)


def draw_scene(recipe: Recipe, bank: SpriteBank, resolution: int) -> BenchScene:
    """One scene; every picture from a generator of its own, so that pictures do not depend on one another."""
    concepts = tuple(concept_spec(name) for name in recipe.concepts)
    drawn = [_draw_picture(recipe, concepts, number, bank, resolution) for number in range(len(recipe.shown))]
    pictures, owners = zip(*drawn, strict=True)
    return BenchScene(name=recipe.name, concepts=concepts, pictures=pictures, owner=torch.stack(owners))


def concept_spec(name: str) -> ConceptSpec:
    """The concept of a held-out object or place, with its class word."""
    place = places().get(name)
    kind = ConceptKind.SUBJECT if place is None else ConceptKind.BACKGROUND
    word = held_out()[name] if place is None else place.kind
    return ConceptSpec(name=f"{TENANT}/{name}", kind=kind, class_word=word, vectors=VECTORS)


def number_of(concept: ConceptSpec) -> int:
    """The position of a concept among all that the benchmark has: no two have the same."""
    names = dict.fromkeys(name for recipe in (*RECIPES, *SWEEP_RECIPES) for name in recipe.concepts)
    return list(names).index(concept.name.removeprefix(f"{TENANT}/"))


def places() -> Mapping[str, Scene]:
    """The held-out places by name."""
    return {scene.name: scene for scene in HELD_OUT_PLACES}


def _draw_picture(
    recipe: Recipe, concepts: tuple[ConceptSpec, ...], number: int, bank: SpriteBank, resolution: int
) -> tuple[Picture, Tensor]:
    rng = np.random.default_rng((SEED, *recipe.name.encode(), number))
    shown = [int(position) for position in recipe.shown[number]]
    objects = [at for at in shown if concepts[at].kind is ConceptKind.SUBJECT]
    behind = next((at for at in shown if at not in objects), NOBODY)
    place = PLACES[int(rng.integers(len(PLACES)))] if behind == NOBODY else places()[recipe.concepts[behind]]
    view = crop_scene(rng, _paint(place, rng, resolution + resolution // 4), resolution)
    order = [objects[i] for i in rng.permutation(len(objects))]
    sprites = tuple(bank.pixels[bank.where(recipe.concepts[at], ("3d",))[0]] for at in order)
    made = compose(view, sprites, tuple(place_entangled(rng, len(order))))
    owner = np.full((resolution, resolution), behind, np.uint8)
    for at, mask in zip(order, made.masks, strict=True):
        owner[mask >= 128] = at
    light = rng.uniform(0.72, 1.12)
    pixels = np.clip(made.picture.astype(np.float32) * light, 0, 255).astype(np.uint8)
    return (
        Picture(
            name=f"{number + 1}",
            concepts=tuple(concepts[at].name for at in shown),
            caption=None,
            pixels=torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
            masks={},
            size=(resolution, resolution),
            crop=(0, 0, resolution),
        ),
        torch.from_numpy(owner),
    )


def place_entangled(rng: Generator, count: int) -> Iterator[Placement]:
    """Objects in a row near one another, of unequal size, so that later ones hide a part of earlier ones."""
    widest = {1: 0.8, 2: 0.62, 3: 0.46}[count]
    for slot in rng.permutation(count):
        side = widest * rng.uniform(0.68, 1.0)
        middle = 0.5 + (slot - (count - 1) / 2) * (0.82 / count)
        x = np.clip(middle + rng.normal(0, 0.05), side * 0.42, 1 - side * 0.42)
        y = np.clip(0.54 + rng.normal(0, 0.09), side * 0.42, 1 - side * 0.42)
        yield Placement(x=float(x), y=float(y), side=side, turn=rng.normal(0, 6), flip=bool(rng.random() < 0.5))


def _paint(place: Scene, rng: Generator, size: int) -> NDArray[np.uint8]:
    return (np.clip(place.paint(rng, size), 0, 1) * 255).astype(np.uint8)
