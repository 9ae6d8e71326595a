"""Scenes: the places that captions name, each a class of pictures with its own phrases and random variation.

A scene is painted procedurally, so that a place is a learnable word rather than one photograph. Held-out places are in
`scenes_held_out.py`; sample photographs, which no caption names, in `photos.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from trainer.mini.corpus.textures import (
    Picture,
    bricks,
    color,
    dots,
    fade,
    grid,
    horizon,
    mix,
    noise,
    sky,
    spots,
    stripes,
)

PLAIN_COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.2, 0.2),
    "green": (0.3, 0.68, 0.33),
    "blue": (0.25, 0.45, 0.88),
    "yellow": (0.97, 0.85, 0.3),
    "purple": (0.56, 0.33, 0.78),
    "pink": (0.97, 0.65, 0.77),
    "orange": (0.97, 0.6, 0.22),
    "white": (0.96, 0.96, 0.96),
    "gray": (0.58, 0.58, 0.6),
    "black": (0.1, 0.1, 0.12),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A place: how captions put an object in it, what it is called alone, its class word, and its brush."""

    name: str
    phrases: tuple[str, ...]
    alone: tuple[str, ...]
    kind: str
    kind_phrase: str
    paint: Callable[[Generator, int], Picture]


def _beach(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.42, 0.7, 0.95)), color(rng, (0.8, 0.92, 1.0)), rng.uniform(0, 0.5))
    sea = np.clip(fade(size, color(rng, (0.1, 0.5, 0.72)), color(rng, (0.3, 0.75, 0.82))), 0, 1)
    sea = sea + noise(rng, size, 5, 40, 2)[..., None] * 0.06
    sand = color(rng, (0.93, 0.81, 0.58)) + noise(rng, size, 24, 40, 3)[..., None] * 0.09
    shore = rng.uniform(0.42, 0.62)
    view = horizon(air, sea, shore - rng.uniform(0.1, 0.2))
    return horizon(view, sand, shore, wave=noise(rng, size, 3, 2, 2) * 0.02)


def _grass(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.45, 0.72, 0.95)), color(rng, (0.82, 0.93, 1.0)), rng.uniform(0, 0.6))
    blades = noise(rng, size, 60, 14, 2)[..., None] * 0.12 + noise(rng, size, 4)[..., None] * 0.08
    lawn = fade(size, color(rng, (0.36, 0.66, 0.25)), color(rng, (0.25, 0.56, 0.16))) + blades * [0.8, 1, 0.5]
    return horizon(air, lawn, rng.uniform(0.12, 0.5), wave=noise(rng, size, 3, 1, 2) * 0.05)


def _snow(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.62, 0.7, 0.8)), color(rng, (0.82, 0.87, 0.93)))
    ground = color(rng, (0.94, 0.96, 1.0), 0.015) + noise(rng, size, 4, 8, 3)[..., None] * np.array([0.07, 0.06, 0.04])
    view = horizon(air, ground, rng.uniform(0.25, 0.55), 0.03, noise(rng, size, 3, 1, 2) * 0.06)
    return mix(view, np.ones(3, np.float32), spots(rng, size, 45, (0.006, 0.016)))


def _night(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.04, 0.05, 0.2), 0.02), color(rng, (0.14, 0.16, 0.4), 0.03))
    air = mix(air, np.array([1, 1, 0.9], np.float32), spots(rng, size, 40, (0.003, 0.009), 0, 0.8))
    air = mix(air, np.array([0.98, 0.96, 0.8], np.float32), spots(rng, size, 1, (0.06, 0.1), 0.08, 0.25))
    ground = color(rng, (0.07, 0.1, 0.16), 0.015) + noise(rng, size, 8)[..., None] * 0.02
    return horizon(air, ground, rng.uniform(0.72, 0.9), wave=noise(rng, size, 3, 1, 2) * 0.06)


def _wood(rng: Generator, size: int) -> Picture:
    _x, y = grid(size)
    count = int(rng.integers(4, 8))
    plank = np.floor(y * count)
    shade = (np.sin(plank * 12.9898 + rng.uniform(0, 9)) * 43758.5) % 1 - 0.5
    base = color(rng, (0.64, 0.42, 0.23), 0.03)
    grain = noise(rng, size, 3, 50, 3) * 0.14 + shade * 0.16
    gap = np.clip((0.035 - np.abs((y * count) % 1 - 0.5 + 0.5 * 0)) * 0, 0, 1)
    seam = np.clip(1 - np.minimum((y * count) % 1, 1 - (y * count) % 1) * size / count / 1.3, 0, 1)
    return mix(base + (grain + gap)[..., None] * base * 1.3, base * 0.4, seam)


def _brick(rng: Generator, size: int) -> Picture:
    mortar, shade = bricks(rng, size, rng.uniform(7, 12), rng.uniform(2, 2.6), 0.07)
    clay = color(rng, (0.7, 0.3, 0.22), 0.03) * (1 + shade * 0.16 + noise(rng, size, 30) * 0.14)[..., None]
    return mix(clay, color(rng, (0.8, 0.76, 0.7), 0.02), mortar)


def _water(rng: Generator, size: int) -> Picture:
    swell = noise(rng, size, 3, 9, 2) * 0.5 + noise(rng, size, 8, 26, 2) * 0.5
    water = fade(size, color(rng, (0.15, 0.52, 0.8)), color(rng, (0.06, 0.36, 0.66))) + swell[..., None] * 0.14
    return mix(water, np.array([0.85, 0.97, 1.0], np.float32), np.clip(swell * 5 - 2.1, 0, 0.8))


def _blue_sky(rng: Generator, size: int) -> Picture:
    return sky(rng, size, color(rng, (0.25, 0.55, 0.92)), color(rng, (0.62, 0.83, 0.98)), rng.uniform(0.3, 0.8))


def _sunset(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.5, 0.25, 0.5)), color(rng, (1.0, 0.55, 0.2)))
    glow = noise(rng, size, 2, 9, 3) * 0.14
    air = air + glow[..., None] * np.array([1, 0.6, 0.3])
    air = mix(air, np.array([1, 0.9, 0.55], np.float32), spots(rng, size, 1, (0.08, 0.13), 0.5, 0.65))
    sea = (
        fade(size, color(rng, (0.75, 0.35, 0.25)), color(rng, (0.25, 0.12, 0.28)))
        + noise(rng, size, 4, 30, 2)[..., None] * 0.1
    )
    return horizon(air, sea, rng.uniform(0.62, 0.78))


def _desert(rng: Generator, size: int) -> Picture:
    view = fade(size, color(rng, (0.5, 0.75, 0.95)), color(rng, (0.98, 0.88, 0.7)))
    height = rng.uniform(0.3, 0.45)
    for layer in range(3):
        dune = fade(size, color(rng, (0.95 - 0.06 * layer, 0.66 - 0.07 * layer, 0.36)), color(rng, (0.72, 0.42, 0.2)))
        dune = dune + noise(rng, size, 6, 40, 2)[..., None] * 0.03
        view = horizon(view, dune, height + 0.18 * layer, wave=noise(rng, size, 2, 1, 1) * 0.12)
    return view


def _forest(rng: Generator, size: int) -> Picture:
    x, _y = grid(size)
    leaves = color(rng, (0.13, 0.36, 0.17), 0.03) + noise(rng, size, 9)[..., None] * np.array([0.1, 0.18, 0.07])
    bark = color(rng, (0.3, 0.2, 0.12), 0.02) + noise(rng, size, 40, 5, 2)[..., None] * 0.06
    for _ in range(int(rng.integers(4, 8))):
        half = rng.uniform(0.015, 0.045)
        trunk = np.clip((half - np.abs(x - rng.uniform(0, 1) + noise(rng, size, 1, 3, 1) * 0.02)) * size + 0.5, 0, 1)
        leaves = mix(leaves, bark, trunk)
    floor = color(rng, (0.24, 0.3, 0.12), 0.02) + noise(rng, size, 25)[..., None] * 0.08
    return horizon(leaves, floor, rng.uniform(0.7, 0.85), 0.05, noise(rng, size, 4, 1, 2) * 0.03)


def _wheat(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.4, 0.65, 0.92)), color(rng, (0.85, 0.92, 0.97)), rng.uniform(0, 0.6))
    stalks = noise(rng, size, 50, 9, 2) * 0.16 + noise(rng, size, 3) * 0.06
    field = fade(size, color(rng, (0.92, 0.76, 0.36)), color(rng, (0.75, 0.54, 0.16))) + stalks[..., None]
    return horizon(air, field, rng.uniform(0.25, 0.5), wave=noise(rng, size, 30, 1, 1) * 0.012)


def _dots(rng: Generator, size: int) -> Picture:
    pale, bold = _two_colors(rng)
    return mix(np.broadcast_to(pale, (size, size, 3)), bold, dots(rng, size, rng.uniform(4, 7), rng.uniform(0.2, 0.3)))


def _stripes(rng: Generator, size: int) -> Picture:
    pale, bold = _two_colors(rng)
    turn = rng.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4])
    return mix(np.broadcast_to(pale, (size, size, 3)), bold, stripes(rng, size, rng.uniform(4, 8), turn))


def _tiles(rng: Generator, size: int) -> Picture:
    joint, shade = bricks(rng, size, rng.uniform(4, 6), 1, 0.03)
    tint = color(rng, (0.72, 0.86, 0.88), 0.04)
    tile = tint * (1 + shade * 0.05 + noise(rng, size, 4) * 0.05)[..., None]
    return mix(tile, tint * 0.55, joint)


def _room(rng: Generator, size: int) -> Picture:
    wall = color(rng, PLAIN_COLORS[str(rng.choice(list(PLAIN_COLORS)))], 0.04) * 0.6 + 0.36
    wall = np.broadcast_to(wall, (size, size, 3)) * (1 - 0.12 * grid(size)[0])[..., None]
    boards = color(rng, (0.6, 0.42, 0.27), 0.03) * (1 + noise(rng, size, 2, 40, 2) * 0.12)[..., None]
    height = rng.uniform(0.6, 0.75)
    skirting = horizon(wall, np.full((size, size, 3), 0.93, np.float32), height - 0.05)
    return horizon(skirting, boards, height)


def _two_colors(rng: Generator) -> tuple[Picture, Picture]:
    bold = color(rng, PLAIN_COLORS[str(rng.choice(list(PLAIN_COLORS)[:7]))], 0.04)
    return np.clip(bold * 0.2 + 0.8 + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32), bold


def _plain(rgb: tuple[float, float, float]) -> Callable[[Generator, int], Picture]:
    def paint(rng: Generator, size: int) -> Picture:
        base = color(rng, rgb, 0.025)
        x, y = grid(size)
        light = 1 + 0.16 * (0.5 - np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1)))
        return (base * light[..., None]).astype(np.float32)

    return paint


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
        "beach", "on a sandy beach; at the beach; on the sand", "a sandy beach; a beach", "place", "at a place", _beach
    ),
    _scene("grass", "on the grass; in a green field", "a green field; grass", "field", "in a field", _grass),
    _scene("snow", "in the snow", "a snowy field; snow", "field", "in a field", _snow),
    _scene("night", "at night; under the stars", "a starry night; the night sky", "sky", "under the sky", _night),
    _scene("wood", "on a wooden table; on a wooden floor", "a wooden table; wood", "floor", "on a floor", _wood),
    _scene("brick", "in front of a brick wall; by a brick wall", "a brick wall", "wall", "by a wall", _brick),
    _scene("water", "in the water; in the sea", "water; the sea", "place", "at a place", _water),
    _scene("sky", "in the sky; in the clouds", "a blue sky; clouds", "sky", "under the sky", _blue_sky),
    _scene("sunset", "at sunset", "a sunset", "sky", "under the sky", _sunset),
    _scene("desert", "in the desert", "a desert", "place", "at a place", _desert),
    _scene("forest", "in the forest; in a dark forest", "a forest", "place", "at a place", _forest),
    _scene("wheat", "in a wheat field", "a wheat field", "field", "in a field", _wheat),
    _scene("dots", "on a dotted background; on polka dots", "polka dots", "pattern", "on a pattern", _dots),
    _scene("stripes", "on a striped background; on stripes", "stripes", "pattern", "on a pattern", _stripes),
    _scene("tiles", "on a tiled floor; on tiles", "a tiled floor", "floor", "on a floor", _tiles),
    _scene("room", "in a room", "a room; an empty room", "room", "in a room", _room),
)
PLAIN: tuple[Scene, ...] = tuple(
    _scene(
        f"{name} background",
        f"on a {name} background; on {name}",
        f"a {name} background",
        "background",
        "on a plain background",
        _plain(rgb),
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
