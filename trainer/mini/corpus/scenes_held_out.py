"""Held-out places: painted like the scenes of `scenes.py`, never shown to any network of the base model.

Their names and class words are in `heldout.txt`; the examples and benchmarks teach them as new concepts.
"""

import numpy as np
from numpy.random import Generator

from trainer.mini.corpus.scenes import Scene, _scene
from trainer.mini.corpus.textures import Picture, bricks, checks, color, fade, grid, horizon, mix, noise, sky, spots


def _lavender(rng: Generator, size: int) -> Picture:
    x, y = grid(size)
    air = sky(rng, size, color(rng, (0.55, 0.78, 0.95), 0.02), color(rng, (0.97, 0.92, 0.9), 0.02), rng.uniform(0, 0.4))
    height = rng.uniform(0.3, 0.42)
    depth = np.clip(y - height, 0.02, None)
    rows = np.sin((x - rng.uniform(0.3, 0.7)) / (depth + 0.12) * 6 + rng.uniform(0, 6))
    blossom = color(rng, (0.55, 0.36, 0.78), 0.02) + noise(rng, size, 50, 30, 2)[..., None] * 0.13
    field = mix(blossom, color(rng, (0.3, 0.42, 0.25), 0.02), np.clip(rows * 2 - 0.9, 0, 1))
    return horizon(air, field, height, wave=noise(rng, size, 3, 1, 2) * 0.02)


def _stone_wall(rng: Generator, size: int) -> Picture:
    mortar, shade = bricks(rng, size, rng.uniform(4, 6), 1.5, 0.05)
    stone = color(rng, (0.55, 0.56, 0.56), 0.02) * (1 + shade * 0.25 + noise(rng, size, 14, octaves=4) * 0.3)[..., None]
    return mix(stone, color(rng, (0.28, 0.3, 0.26), 0.02), mortar)


def _aurora(rng: Generator, size: int) -> Picture:
    _x, y = grid(size)
    air = fade(size, color(rng, (0.03, 0.05, 0.16), 0.01), color(rng, (0.07, 0.16, 0.28), 0.02))
    air = mix(air, np.ones(3, np.float32), spots(rng, size, 25, (0.003, 0.007)))
    for tint in ((0.2, 0.95, 0.55), (0.3, 0.85, 0.8), (0.7, 0.35, 0.85)):
        middle = rng.uniform(0.2, 0.6) + noise(rng, size, 3, 1, 2) * 0.15
        curtain = np.exp(-np.abs(y - middle) * 9) * (0.65 + noise(rng, size, 24, 1, 2) * 0.35)
        air = mix(air, color(rng, tint, 0.02), curtain)
    ground = np.broadcast_to(color(rng, (0.04, 0.07, 0.1), 0.01), (size, size, 3))
    return horizon(air, ground, rng.uniform(0.8, 0.9), wave=noise(rng, size, 5, 1, 2) * 0.06)


def _checkered_floor(rng: Generator, size: int) -> Picture:
    mask = checks(rng, size, rng.uniform(4, 6), rng.uniform(0.6, 0.9))
    dark = np.broadcast_to(color(rng, (0.1, 0.1, 0.12), 0.01), (size, size, 3))
    return mix(dark, color(rng, (0.95, 0.93, 0.88), 0.01), mask)


def _library(rng: Generator, size: int) -> Picture:
    x, y = grid(size)
    shelves, books = 4, 16
    row = np.floor(y * shelves)
    column = np.floor(x * books + np.sin(row * 7.1) * 3)
    hue = (np.sin(row * 12.9 + column * 78.2) * 43758.5) % 1
    spine = np.stack([0.45 + 0.4 * np.sin(hue * 6.3 + turn) for turn in (0.0, 2.1, 4.2)], -1).astype(np.float32)
    top = (np.sin(row * 3.3 + column * 17.7) * 9631.7) % 1 * 0.3
    v = (y * shelves) % 1
    view = mix(spine * rng.uniform(0.8, 1), np.array([0.12, 0.08, 0.06], np.float32), (top - v) * 30)
    return mix(view, color(rng, (0.42, 0.27, 0.15), 0.02), (v - 0.88) * 40)


def _canyon(rng: Generator, size: int) -> Picture:
    x, y = grid(size)
    air = fade(size, color(rng, (0.35, 0.65, 0.92), 0.02), color(rng, (0.85, 0.92, 0.98), 0.02))
    bands = np.sin((y + noise(rng, size, 3, 2, 2) * 0.05) * rng.uniform(40, 60))
    rock = color(rng, (0.75, 0.36, 0.2), 0.02) + bands[..., None] * np.array([0.1, 0.08, 0.05])
    cliff = 0.5 - 0.35 * np.clip(np.abs(x - rng.uniform(0.35, 0.65)) * 5 - 0.9, -0.2, 1)
    view = mix(air, rock, (y - cliff + noise(rng, size, 6, 1, 2) * 0.03) * 60)
    return horizon(view, rock * 0.75 + 0.08, rng.uniform(0.72, 0.82))


HELD_OUT_PLACES: tuple[Scene, ...] = (
    _scene("lavender-field", "in a lavender field", "a lavender field", "field", "in a field", _lavender),
    _scene("stone-wall", "by a stone wall", "a stone wall", "wall", "by a wall", _stone_wall),
    _scene("aurora", "under the aurora", "an aurora", "sky", "under the sky", _aurora),
    _scene("checkered-floor", "on a checkered floor", "a checkered floor", "floor", "on a floor", _checkered_floor),
    _scene("library", "in a library", "a library", "room", "in a room", _library),
    _scene("canyon", "in a canyon", "a canyon", "desert", "at a place", _canyon),
)
