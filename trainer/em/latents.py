"""The pictures as the optimiser sees them: cached latents of both flips, colours under the mask grid, given masks.

Encoding a picture costs more than a U-Net pass, so it happens once. Mean and standard deviation are both kept: every
use draws a fresh sample of the VAE's posterior, as training without a cache would.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.backbone import Backbone
from trainer.em.scene import Scene

ENCODE_BATCH = 4  # pictures a VAE pass


@dataclass(frozen=True, kw_only=True)
class Observed:
    """`mean`, `std` [2, N, C, h, w], index 1 mirrored; `colours` [N, 3, G, G] in 0..255; `given` [N, K, G, G] with
    the user's masks in [0, 1] where `is_given` [N, K]."""

    mean: Tensor
    std: Tensor
    colours: Tensor
    given: Tensor
    is_given: Tensor

    @property
    def count(self) -> int:
        return int(self.mean.shape[1])

    @property
    def latent_size(self) -> int:
        return int(self.mean.shape[-1])

    @property
    def grid(self) -> int:
        return int(self.colours.shape[-1])


def observe(backbone: Backbone, scene: Scene, grid: int) -> Observed:
    """Encode every picture of `scene` in both flips and bring colours and given masks to the mask `grid`."""
    pixels = torch.stack([picture.pixels for picture in scene.pictures]).float()  # [N, 3, S, S]
    mean, std = encode_both_flips(backbone, pixels)
    given, is_given = _given_masks(scene, grid)
    device = backbone.device
    return Observed(
        mean=mean,
        std=std,
        colours=resize(pixels, grid).to(device),
        given=given.to(device),
        is_given=is_given.to(device),
    )


def encode_both_flips(backbone: Backbone, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [2, N, C, h, w] of the latents of `pixels` [N, 3, S, S] in 0..255, index 1 mirrored."""
    both = torch.cat([pixels, pixels.flip(-1)]) / 127.5 - 1
    moments = [backbone.encode_pictures(part) for part in both.split(ENCODE_BATCH)]
    mean, std = (torch.cat(parts).unflatten(0, (2, -1)).to(backbone.device) for parts in zip(*moments, strict=True))
    return mean, std


def resize(field: Tensor, size: int | tuple[int, int]) -> Tensor:
    """[B, K, H, W] to [B, K, size, size], or to the height and width `size`: cell means when shrinking, bilinear when growing."""
    sides = (size, size) if isinstance(size, int) else size
    if sides == tuple(field.shape[-2:]):
        return field
    if sides[1] < field.shape[-1]:
        return functional.interpolate(field, size=sides, mode="area")
    return functional.interpolate(field, size=sides, mode="bilinear", align_corners=False)


def _given_masks(scene: Scene, grid: int) -> tuple[Tensor, Tensor]:
    count, labels = scene.presence.shape
    given, is_given = torch.zeros(count, labels, grid, grid), torch.zeros(count, labels, dtype=torch.bool)
    for index, picture in enumerate(scene.pictures):
        for name, mask in picture.masks.items():
            if name in scene.labels:
                label = scene.labels.index(name)
                given[index, label] = resize(mask[None, None].float(), grid)[0, 0]
                is_given[index, label] = True
    return given, is_given
