"""Scenes: the places that captions name, each a class of pictures with its own phrases and random variation.

A scene is painted procedurally (`brushes.py`), so that a place is a learnable word rather than one photograph. Held-out
places are in `scenes_held_out.py`; sample photographs, which no caption names, in `photos.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from trainer.mini.corpus import brushes
from trainer.mini.corpus.brushes import PLAIN_COLORS
from trainer.mini.corpus.textures import Picture


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A place: how captions put an object in it, what it is called alone, its class word, and its brush."""

    name: str
    phrases: tuple[str, ...]
    alone: tuple[str, ...]
    kind: str
    kind_phrase: str
    paint: Callable[[Generator, int], Picture]


def _scene(name: str, phrases: str, alone: str, kind: str, kind_phrase: str, paint: Callable[..., Picture]) -> Scene:
    return Scene(
        name=name,
        phrases=tuple(phrases.split("; ")),
        alone=tuple(alone.split("; ")),
        kind=kind,
        kind_phrase=kind_phrase,
        paint=paint,
    )


PLACES: tuple[Scene, ...] = (
    _scene(
        "beach",
        "on a sandy beach; at the beach; on the sand",
        "a sandy beach; a beach",
        "place",
        "at a place",
        brushes.paint_beach,
    ),
    _scene(
        "grass", "on the grass; in a green field", "a green field; grass", "field", "in a field", brushes.paint_grass
    ),
    _scene("snow", "in the snow", "a snowy field; snow", "field", "in a field", brushes.paint_snow),
    _scene(
        "night",
        "at night; under the stars",
        "a starry night; the night sky",
        "sky",
        "under the sky",
        brushes.paint_night,
    ),
    _scene(
        "wood",
        "on a wooden table; on a wooden floor",
        "a wooden table; wood",
        "floor",
        "on a floor",
        brushes.paint_wood,
    ),
    _scene(
        "brick", "in front of a brick wall; by a brick wall", "a brick wall", "wall", "by a wall", brushes.paint_brick
    ),
    _scene("water", "in the water; in the sea", "water; the sea", "place", "at a place", brushes.paint_water),
    _scene("sky", "in the sky; in the clouds", "a blue sky; clouds", "sky", "under the sky", brushes.paint_blue_sky),
    _scene("sunset", "at sunset", "a sunset", "sky", "under the sky", brushes.paint_sunset),
    _scene("desert", "in the desert", "a desert", "place", "at a place", brushes.paint_desert),
    _scene("forest", "in the forest; in a dark forest", "a forest", "place", "at a place", brushes.paint_forest),
    _scene("wheat", "in a wheat field", "a wheat field", "field", "in a field", brushes.paint_wheat),
    _scene(
        "dots", "on a dotted background; on polka dots", "polka dots", "pattern", "on a pattern", brushes.paint_dots
    ),
    _scene(
        "stripes", "on a striped background; on stripes", "stripes", "pattern", "on a pattern", brushes.paint_stripes
    ),
    _scene("tiles", "on a tiled floor; on tiles", "a tiled floor", "floor", "on a floor", brushes.paint_tiles),
    _scene("flowers", "in a flower field", "a flower field", "field", "in a field", brushes.paint_flower_field),
    _scene("garden", "in a garden; in the garden", "a garden", "field", "in a field", brushes.paint_garden),
    _scene("road", "in the street; on a street", "a street", "place", "at a place", brushes.paint_road),
    _scene("room", "in a room", "a room; an empty room", "room", "in a room", brushes.paint_room),
)
PLAIN: tuple[Scene, ...] = tuple(
    _scene(
        f"{name} background",
        f"on a {name} background; on {name}",
        f"a {name} background",
        "background",
        "on a plain background",
        brushes.paint_plain(rgb),
    )
    for name, rgb in PLAIN_COLORS.items()
)
SCENES = PLACES + PLAIN


def paint_bank(scenes: tuple[Scene, ...], size: int, variants: int, seed: int) -> np.ndarray:
    """Pictures of every scene, uint8 (scenes, variants, size, size, 3), the same for the same seed."""
    bank = np.empty((len(scenes), variants, size, size, 3), np.uint8)
    for index, scene in enumerate(scenes):
        for variant in range(variants):
            rng = np.random.default_rng((seed, index, variant))
            bank[index, variant] = np.clip(scene.paint(rng, size), 0, 1) * 255
    return bank
