"""Textures: the numpy brushes that scenes are painted with (noise, gradients, bricks, planks, ripples).

Every function takes an explicit generator and returns float32 arrays: (size, size) for masks and noise,
(size, size, 3) for colours, values about 0 to 1.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.float32]


def noise(rng: Generator, size: int, cells_x: float, cells_y: float | None = None, octaves: int = 3) -> Picture:
    """Smooth fractal noise in about [-1, 1] with the given number of cells across and down."""
    total = np.zeros((size, size), np.float32)
    cells_y = cells_x if cells_y is None else cells_y
    for octave in range(octaves):
        shape = (max(2, round(cells_y * 2**octave)), max(2, round(cells_x * 2**octave)))
        grid = Image.fromarray(rng.uniform(-1, 1, shape).astype(np.float32))
        total += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC)) / 2**octave
    return total / 1.6


def grid(size: int) -> tuple[Picture, Picture]:
    """Coordinates x (to the right) and y (down) of the pixel centres, 0 to 1."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))


def color(rng: Generator, rgb: tuple[float, float, float], spread: float = 0.05) -> Picture:
    """One colour near `rgb`: brightness and tint vary."""
    tinted = np.asarray(rgb) * rng.uniform(0.88, 1.1) + rng.normal(0, spread, 3)
    return np.clip(tinted, 0, 1).astype(np.float32)


def mix(a: Picture, b: Picture, weight: Picture) -> Picture:
    """`a` where weight is 0, `b` where it is 1."""
    weight = np.clip(weight, 0, 1)[..., None]
    return a * (1 - weight) + b * weight


def fade(size: int, top: Picture, bottom: Picture) -> Picture:
    """A vertical gradient between two colours."""
    return mix(top, bottom, grid(size)[1])


def sky(rng: Generator, size: int, top: Picture, bottom: Picture, clouds: float) -> Picture:
    """A gradient with soft white clouds; `clouds` from 0 (none) to 1 (many)."""
    cover = np.clip(noise(rng, size, 3, 6, 4) * 1.6 - 0.75 + clouds, 0, 1)
    return mix(fade(size, top, bottom), np.ones(3, np.float32), cover * 0.85)


def horizon(
    above: Picture, below: Picture, height: float, softness: float = 0.012, wave: Picture | float = 0
) -> Picture:
    """`above` over `below`, meeting at `height` (0 top, 1 bottom), displaced by `wave`."""
    _, y = grid(above.shape[0])
    return mix(above, below, (y - height + wave) / softness + 0.5)


def spots(
    rng: Generator, size: int, count: int, radius: tuple[float, float], top: float = 0, bottom: float = 1
) -> Picture:
    """A mask of `count` small discs between two heights."""
    x, y = grid(size)
    mask = np.zeros((size, size), np.float32)
    for _ in range(count):
        r = rng.uniform(*radius)
        distance = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(top, bottom))
        np.maximum(mask, np.clip((r - distance) * size + 0.5, 0, 1), out=mask)
    return mask


def bricks(rng: Generator, size: int, rows: float, aspect: float, joint: float) -> tuple[Picture, Picture]:
    """A running bond: the mortar mask, and a value in [-1, 1] that is constant on each brick."""
    x, y = grid(size)
    row = np.floor(y * rows + rng.uniform(0, 1))
    v = (y * rows + rng.uniform(0, 1)) % 1
    row = np.floor(y * rows - v + 0.5)
    column = x * rows / aspect + (row % 2) * 0.5 + rng.uniform(0, 1)
    u = column % 1
    edge = np.minimum(np.minimum(u, 1 - u) * aspect, np.minimum(v, 1 - v))
    shade = np.sin(row * 12.9898 + np.floor(column) * 78.233) * 43758.5453
    return np.clip((joint - edge) * size / rows + 0.5, 0, 1), (shade % 1) * 2 - 1


def checks(rng: Generator, size: int, cells: float, turn: float = 0) -> Picture:
    """A soft-edged checkerboard mask, turned by `turn` radians."""
    x, y = grid(size)
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    shift = rng.uniform(0, 2, 2)
    wave = np.sin((u * cells + shift[0]) * np.pi) * np.sin((v * cells + shift[1]) * np.pi)
    return np.clip(wave * size / cells / 2.2 + 0.5, 0, 1)


def stripes(rng: Generator, size: int, count: float, turn: float) -> Picture:
    """A soft-edged stripe mask along the direction `turn` (radians)."""
    x, y = grid(size)
    phase = (x * np.cos(turn) + y * np.sin(turn)) * count + rng.uniform(0, 1)
    return np.clip(np.sin(phase * 2 * np.pi) * size / count / 3 + 0.5, 0, 1)


def dots(rng: Generator, size: int, count: float, radius: float) -> Picture:
    """Rows of discs, every other row shifted: a polka-dot mask."""
    x, y = grid(size)
    shift = rng.uniform(0, 1, 2)
    row = y * count * 1.15 + shift[1]
    u = (x * count + shift[0] + (np.floor(row) % 2) * 0.5) % 1 - 0.5
    return np.clip((radius - np.hypot(u, row % 1 - 0.5)) * size / count + 0.5, 0, 1)
