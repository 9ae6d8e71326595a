"""Brushes: how each seen place is painted, with its random variation. Which words name them is in `scenes.py`."""

from collections.abc import Callable

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

BLOSSOMS = ((0.85, 0.2, 0.25), (0.96, 0.8, 0.25), (0.95, 0.55, 0.7), (0.96, 0.95, 0.92), (0.95, 0.55, 0.2))


def paint_beach(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.42, 0.7, 0.95)), color(rng, (0.8, 0.92, 1.0)), rng.uniform(0, 0.5))
    sea = np.clip(fade(size, color(rng, (0.1, 0.5, 0.72)), color(rng, (0.3, 0.75, 0.82))), 0, 1)
    sea = sea + noise(rng, size, 5, 40, 2)[..., None] * 0.06
    sand = color(rng, (0.93, 0.81, 0.58)) + noise(rng, size, 24, 40, 3)[..., None] * 0.09
    shore = rng.uniform(0.42, 0.62)
    view = horizon(air, sea, shore - rng.uniform(0.1, 0.2))
    return horizon(view, sand, shore, wave=noise(rng, size, 3, 2, 2) * 0.02)


def paint_grass(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.45, 0.72, 0.95)), color(rng, (0.82, 0.93, 1.0)), rng.uniform(0, 0.6))
    blades = noise(rng, size, 60, 14, 2)[..., None] * 0.12 + noise(rng, size, 4)[..., None] * 0.08
    lawn = fade(size, color(rng, (0.36, 0.66, 0.25)), color(rng, (0.25, 0.56, 0.16))) + blades * [0.8, 1, 0.5]
    return horizon(air, lawn, rng.uniform(0.12, 0.5), wave=noise(rng, size, 3, 1, 2) * 0.05)


def paint_snow(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.62, 0.7, 0.8)), color(rng, (0.82, 0.87, 0.93)))
    ground = color(rng, (0.94, 0.96, 1.0), 0.015) + noise(rng, size, 4, 8, 3)[..., None] * np.array([0.07, 0.06, 0.04])
    view = horizon(air, ground, rng.uniform(0.25, 0.55), 0.03, noise(rng, size, 3, 1, 2) * 0.06)
    return mix(view, np.ones(3, np.float32), spots(rng, size, 45, (0.006, 0.016)))


def paint_night(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.04, 0.05, 0.2), 0.02), color(rng, (0.14, 0.16, 0.4), 0.03))
    air = mix(air, np.array([1, 1, 0.9], np.float32), spots(rng, size, 40, (0.003, 0.009), 0, 0.8))
    air = mix(air, np.array([0.98, 0.96, 0.8], np.float32), spots(rng, size, 1, (0.06, 0.1), 0.08, 0.25))
    ground = color(rng, (0.07, 0.1, 0.16), 0.015) + noise(rng, size, 8)[..., None] * 0.02
    return horizon(air, ground, rng.uniform(0.72, 0.9), wave=noise(rng, size, 3, 1, 2) * 0.06)


def paint_wood(rng: Generator, size: int) -> Picture:
    _x, y = grid(size)
    count = int(rng.integers(4, 8))
    plank = np.floor(y * count)
    shade = (np.sin(plank * 12.9898 + rng.uniform(0, 9)) * 43758.5) % 1 - 0.5
    base = color(rng, (0.64, 0.42, 0.23), 0.03)
    grain = noise(rng, size, 3, 50, 3) * 0.14 + shade * 0.16
    seam = np.clip(1 - np.minimum((y * count) % 1, 1 - (y * count) % 1) * size / count / 1.3, 0, 1)
    return mix(base + grain[..., None] * base * 1.3, base * 0.4, seam)


def paint_brick(rng: Generator, size: int) -> Picture:
    mortar, shade = bricks(rng, size, rng.uniform(7, 12), rng.uniform(2, 2.6), 0.07)
    clay = color(rng, (0.7, 0.3, 0.22), 0.03) * (1 + shade * 0.16 + noise(rng, size, 30) * 0.14)[..., None]
    return mix(clay, color(rng, (0.8, 0.76, 0.7), 0.02), mortar)


def paint_water(rng: Generator, size: int) -> Picture:
    swell = noise(rng, size, 3, 9, 2) * 0.5 + noise(rng, size, 8, 26, 2) * 0.5
    water = fade(size, color(rng, (0.15, 0.52, 0.8)), color(rng, (0.06, 0.36, 0.66))) + swell[..., None] * 0.14
    return mix(water, np.array([0.85, 0.97, 1.0], np.float32), np.clip(swell * 5 - 2.1, 0, 0.8))


def paint_blue_sky(rng: Generator, size: int) -> Picture:
    return sky(rng, size, color(rng, (0.25, 0.55, 0.92)), color(rng, (0.62, 0.83, 0.98)), rng.uniform(0.3, 0.8))


def paint_sunset(rng: Generator, size: int) -> Picture:
    air = fade(size, color(rng, (0.5, 0.25, 0.5)), color(rng, (1.0, 0.55, 0.2)))
    glow = noise(rng, size, 2, 9, 3) * 0.14
    air = air + glow[..., None] * np.array([1, 0.6, 0.3])
    air = mix(air, np.array([1, 0.9, 0.55], np.float32), spots(rng, size, 1, (0.08, 0.13), 0.5, 0.65))
    sea = (
        fade(size, color(rng, (0.75, 0.35, 0.25)), color(rng, (0.25, 0.12, 0.28)))
        + noise(rng, size, 4, 30, 2)[..., None] * 0.1
    )
    return horizon(air, sea, rng.uniform(0.62, 0.78))


def paint_desert(rng: Generator, size: int) -> Picture:
    view = fade(size, color(rng, (0.5, 0.75, 0.95)), color(rng, (0.98, 0.88, 0.7)))
    height = rng.uniform(0.3, 0.45)
    for layer in range(3):
        dune = fade(size, color(rng, (0.95 - 0.06 * layer, 0.66 - 0.07 * layer, 0.36)), color(rng, (0.72, 0.42, 0.2)))
        dune = dune + noise(rng, size, 6, 40, 2)[..., None] * 0.03
        view = horizon(view, dune, height + 0.18 * layer, wave=noise(rng, size, 2, 1, 1) * 0.12)
    return view


def paint_forest(rng: Generator, size: int) -> Picture:
    x, _y = grid(size)
    leaves = color(rng, (0.13, 0.36, 0.17), 0.03) + noise(rng, size, 9)[..., None] * np.array([0.1, 0.18, 0.07])
    bark = color(rng, (0.3, 0.2, 0.12), 0.02) + noise(rng, size, 40, 5, 2)[..., None] * 0.06
    for _ in range(int(rng.integers(4, 8))):
        half = rng.uniform(0.015, 0.045)
        trunk = np.clip((half - np.abs(x - rng.uniform(0, 1) + noise(rng, size, 1, 3, 1) * 0.02)) * size + 0.5, 0, 1)
        leaves = mix(leaves, bark, trunk)
    floor = color(rng, (0.24, 0.3, 0.12), 0.02) + noise(rng, size, 25)[..., None] * 0.08
    return horizon(leaves, floor, rng.uniform(0.7, 0.85), 0.05, noise(rng, size, 4, 1, 2) * 0.03)


def paint_wheat(rng: Generator, size: int) -> Picture:
    air = sky(rng, size, color(rng, (0.4, 0.65, 0.92)), color(rng, (0.85, 0.92, 0.97)), rng.uniform(0, 0.6))
    stalks = noise(rng, size, 50, 9, 2) * 0.16 + noise(rng, size, 3) * 0.06
    field = fade(size, color(rng, (0.92, 0.76, 0.36)), color(rng, (0.75, 0.54, 0.16))) + stalks[..., None]
    return horizon(air, field, rng.uniform(0.25, 0.5), wave=noise(rng, size, 30, 1, 1) * 0.012)


def paint_flower_field(rng: Generator, size: int) -> Picture:
    blossom = (
        color(rng, BLOSSOMS[int(rng.integers(len(BLOSSOMS)))], 0.04) + noise(rng, size, 50, 30, 2)[..., None] * 0.13
    )
    return _rows(rng, size, blossom, color(rng, (0.3, 0.46, 0.22), 0.03))


def paint_garden(rng: Generator, size: int) -> Picture:
    crop = color(rng, (0.3, 0.58, 0.22), 0.04) + noise(rng, size, 40, 24, 2)[..., None] * 0.12
    return _rows(rng, size, crop, color(rng, (0.5, 0.34, 0.22), 0.03))


def _rows(rng: Generator, size: int, crop: Picture, between: Picture) -> Picture:
    """Rows of `crop` that meet at a point on the horizon."""
    x, y = grid(size)
    height = rng.uniform(0.25, 0.5)
    depth = np.clip(y - height, 0.02, None) + rng.uniform(0.1, 0.16)
    wave = np.sin((x - rng.uniform(0.2, 0.8)) / depth * rng.uniform(4, 8) + rng.uniform(0, 6))
    air = sky(rng, size, color(rng, (0.45, 0.7, 0.95)), color(rng, (0.9, 0.93, 0.96)), rng.uniform(0, 0.6))
    field = mix(crop, between, np.clip(wave * 2 - rng.uniform(0.6, 1.0), 0, 1))
    return horizon(air, field, height, wave=noise(rng, size, 3, 1, 2) * 0.02)


def paint_road(rng: Generator, size: int) -> Picture:
    x, y = grid(size)
    height, middle = rng.uniform(0.3, 0.45), rng.uniform(0.35, 0.65)
    half = np.clip(y - height, 0, None) * rng.uniform(0.6, 1.0) + 0.015
    away = np.abs(x - middle)
    tarmac = color(rng, (0.42, 0.43, 0.46), 0.02) + noise(rng, size, 40)[..., None] * 0.05
    dashes = (np.sin(3 / (np.clip(y - height, 0.02, None) + 0.05)) > 0) * (half * 0.07 - away)
    tarmac = mix(tarmac, np.array([0.97, 0.93, 0.75], np.float32), dashes * size + 0.5 * (dashes > 0))
    verge = color(rng, (0.42, 0.62, 0.3), 0.04) + noise(rng, size, 30, 14, 2)[..., None] * 0.1
    air = sky(rng, size, color(rng, (0.4, 0.68, 0.95)), color(rng, (0.86, 0.93, 0.98)), rng.uniform(0, 0.7))
    return horizon(air, mix(tarmac, verge, (away - half) * size / 2 + 0.5), height)


def paint_dots(rng: Generator, size: int) -> Picture:
    pale, bold = _two_colors(rng)
    return mix(np.broadcast_to(pale, (size, size, 3)), bold, dots(rng, size, rng.uniform(4, 7), rng.uniform(0.2, 0.3)))


def paint_stripes(rng: Generator, size: int) -> Picture:
    pale, bold = _two_colors(rng)
    turn = rng.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4])
    return mix(np.broadcast_to(pale, (size, size, 3)), bold, stripes(rng, size, rng.uniform(4, 8), turn))


def paint_tiles(rng: Generator, size: int) -> Picture:
    joint, shade = bricks(rng, size, rng.uniform(4, 6), 1, 0.03)
    tint = color(rng, (0.72, 0.86, 0.88), 0.04)
    tile = tint * (1 + shade * 0.05 + noise(rng, size, 4) * 0.05)[..., None]
    return mix(tile, tint * 0.55, joint)


def paint_room(rng: Generator, size: int) -> Picture:
    wall = color(rng, PLAIN_COLORS[str(rng.choice(list(PLAIN_COLORS)))], 0.04) * 0.6 + 0.36
    wall = np.broadcast_to(wall, (size, size, 3)) * (1 - 0.12 * grid(size)[0])[..., None]
    boards = color(rng, (0.6, 0.42, 0.27), 0.03) * (1 + noise(rng, size, 2, 40, 2) * 0.12)[..., None]
    height = rng.uniform(0.6, 0.75)
    skirting = horizon(wall, np.full((size, size, 3), 0.93, np.float32), height - 0.05)
    return horizon(skirting, boards, height)


def _two_colors(rng: Generator) -> tuple[Picture, Picture]:
    bold = color(rng, PLAIN_COLORS[str(rng.choice(list(PLAIN_COLORS)[:7]))], 0.04)
    return np.clip(bold * 0.2 + 0.8 + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32), bold


def paint_plain(rgb: tuple[float, float, float]) -> Callable[[Generator, int], Picture]:
    def paint(rng: Generator, size: int) -> Picture:
        base = color(rng, rgb, 0.025)
        x, y = grid(size)
        light = 1 + 0.16 * (0.5 - np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1)))
        return (base * light[..., None]).astype(np.float32)

    return paint
