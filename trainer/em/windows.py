"""The part of a picture that an update sees: a window over what its prompt shows.

An update costs what the network has cells to go through, and many cells of a picture say little of the concepts that a
prompt shows. So each sample is cut to a window, at random among the places that keep most of every subject shown (ADR 0052).
Windows of a batch have one shape: the one that keeps most of the subjects, which mostly are side by side; shapes that keep as much
take turns. Networks that are told where a picture was cut (SDXL, arXiv 2307.01952, section 2.2) are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

KEPT = 0.6  # share of each subject shown that a window keeps, where one can
SAME = 0.02  # difference between the shares that two shapes keep that is none


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The windows of a batch: `shape` (h, w) in cells, and the `corners` [B, 2] of each, its top and its left."""

    shape: tuple[int, int]
    corners: Tensor

    def cut(self, fields: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, h, w]."""
        down, across = (torch.arange(side, device=fields.device) for side in self.shape)
        y, x = self.corners[:, :1] + down, self.corners[:, 1:] + across  # [B, h], [B, w]
        sample = torch.arange(len(fields), device=fields.device)[:, None, None]
        return fields[sample, :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)

    def places(self, side: int) -> Tensor:
        """Where a network is told that the samples, of pictures of `side` cells, were cut: height, width, top, left [B, 4]."""
        return torch.cat([torch.full_like(self.corners, side), self.corners], dim=1)


def window_shape(side: int, multiple: int, shares: tuple[float, float]) -> tuple[int, int]:
    """The window of a latent of `side` cells: `shares` of it, height and width, in whole `multiple`s."""
    height, width = (
        side if share == 1 else min(side, max(multiple, round(share * side / multiple) * multiple)) for share in shares
    )
    return height, width


def turns(
    masks: Tensor, watched: Sequence[Sequence[int]], shapes: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Of `shapes`, lying and standing, those that keep most of what is `watched` in `masks` [N, K, H, W]; they take turns."""
    ways = tuple(dict.fromkeys(way for height, width in shapes for way in ((height, width), (width, height))))
    kept = [float(least_kept(masks, watched, way).amax(dim=1).mean()) for way in ways]
    return tuple(way for way, share in zip(ways, kept, strict=True) if share >= max(kept) - SAME)


def draw_windows(
    masks: Tensor, watched: Sequence[Sequence[int]], shape: tuple[int, int], generator: torch.Generator
) -> Windows:
    """A window for each sample with `masks` [B, K, H, W], of which each has labels that are `watched`.

    It keeps `KEPT` of every one of them, or as much of the one it keeps least of as any window does.
    """
    least = least_kept(masks, watched, shape)
    enough = least >= least.amax(dim=1, keepdim=True).clamp(max=KEPT)
    luck = torch.rand(least.shape, generator=generator).to(masks.device)  # drawn on the CPU: no device's own numbers
    place = (luck * enough).argmax(dim=1)
    columns = masks.shape[-1] - shape[1] + 1
    return Windows(shape=shape, corners=torch.stack([place // columns, place % columns], dim=1))


def least_kept(masks: Tensor, watched: Sequence[Sequence[int]], shape: tuple[int, int]) -> Tensor:
    """At each place of a window's corner [B, y * x], the share it keeps of the watched label that it keeps least of."""
    counts = torch.zeros(masks.shape[:2], dtype=torch.bool)
    for sample, labels in enumerate(watched):
        counts[sample, list(labels)] = True
    inside = functional.avg_pool2d(masks, shape, stride=1) * (shape[0] * shape[1])  # [B, K, y, x]
    share = inside / masks.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    return share.masked_fill(~counts.to(masks.device)[:, :, None, None], 1.0).amin(dim=1).flatten(1)
