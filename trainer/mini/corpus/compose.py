"""Compositing: sprites placed on a scene at a random place, size, flip and turn, with a soft shadow and exact masks.

Pictures are uint8 and sprites premultiplied, so that scaling leaves no fringe; a mask is the alpha of its object minus
whatever a later object hides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Centre and side as fractions of the picture; `turn` in degrees."""

    x: float
    y: float
    side: float
    turn: float
    flip: bool


@dataclass(frozen=True, kw_only=True)
class Composite:
    """`picture` (size, size, 3) and one mask (size, size) for each object, all uint8."""

    picture: Pixels
    masks: tuple[Pixels, ...]


def crop_scene(rng: Generator, scene: Pixels, size: int) -> Pixels:
    """A random crop and flip of a painted scene with a little change of light, resized to `size`."""
    full = scene.shape[0]
    side = int(full * rng.uniform(0.8, 1.0))
    left, top = rng.integers(0, full - side + 1, 2)
    view = Image.fromarray(scene).resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    pixels = np.asarray(view, np.float32) * rng.uniform(0.9, 1.08)
    pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    return np.clip(pixels, 0, 255).astype(np.uint8)


def place_objects(rng: Generator, count: int) -> tuple[Placement, ...]:
    """Random placements: one object large, two side by side or one above the other, three in a row."""
    if count == 1:
        side = rng.uniform(0.5, 0.88)
        reach = max(0.0, 0.54 - side / 2)
        centres = [(0.5 + rng.uniform(-reach, reach), 0.5 + rng.uniform(-reach, reach))]
        sides = [side]
    else:
        low, high = (0.42, 0.58) if count == 2 else (0.3, 0.38)
        sides = list(rng.uniform(low, high, count))
        along = (np.arange(count) + 0.5) / count + rng.uniform(-0.04, 0.04, count)
        across = 0.5 + rng.uniform(-0.18, 0.18, count)
        upright = count == 2 and rng.random() < 0.2
        centres = [(b, a) if upright else (a, b) for a, b in zip(along, across, strict=True)]
    return tuple(
        Placement(x=x, y=y, side=side, turn=rng.normal(0, 6), flip=bool(rng.random() < 0.5))
        for (x, y), side in zip(centres, sides, strict=True)
    )


def compose(scene: Pixels, sprites: tuple[Pixels, ...], placements: tuple[Placement, ...]) -> Composite:
    """Draw premultiplied RGBA sprites on a scene, in order; returns the picture and what is visible of each."""
    size = scene.shape[0]
    picture = scene.astype(np.float32)
    masks: list[NDArray[np.float32]] = []
    for sprite, placement in zip(sprites, placements, strict=True):
        layer = np.asarray(_draw(sprite, placement, size), np.float32)
        alpha = layer[..., 3] / 255
        picture *= 1 - 0.38 * _shadow(layer[..., 3], placement.side, size)[..., None] * (1 - alpha[..., None])
        picture = picture * (1 - alpha[..., None]) + layer[..., :3]
        masks = [mask * (1 - alpha) for mask in masks] + [alpha]
    return Composite(
        picture=np.clip(picture, 0, 255).astype(np.uint8),
        masks=tuple(np.rint(mask * 255).astype(np.uint8) for mask in masks),
    )


def _draw(sprite: Pixels, placement: Placement, size: int) -> Image.Image:
    """The sprite on a transparent canvas of the picture's size, by one inverse affine map."""
    full = sprite.shape[0]
    source = Image.fromarray(sprite[:, ::-1].copy() if placement.flip else sprite, "RGBa")
    scale = full / (placement.side * size)
    while scale > 1.6:
        source = source.reduce(2)
        scale, full = scale / 2, full // 2
    angle = np.deg2rad(placement.turn)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    x, y = placement.x * size, placement.y * size
    inverse = (a, b, full / 2 - a * x - b * y, -b, a, full / 2 + b * x - a * y)
    return source.transform((size, size), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)


def _shadow(alpha: NDArray[np.float32], side: float, size: int) -> NDArray[np.float32]:
    """The silhouette, moved down and blurred at a quarter of the size."""
    small = Image.fromarray(alpha.astype(np.uint8)).reduce(4)
    blurred = small.filter(ImageFilter.BoxBlur(float(side * size / 40)))
    drop = np.roll(
        np.asarray(blurred.resize((size, size), Image.Resampling.BILINEAR), np.float32), int(side * size / 14), 0
    )
    drop[: int(side * size / 14)] = 0
    return drop / 255
