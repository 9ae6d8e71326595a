"""The part of a picture that an update sees: a window over what its prompt shows.

An update costs what the network has cells to go through, and many cells of a picture say little of the concepts that a
prompt shows. So each sample is cut to a window, at random among the places that keep most of every subject shown (ADR 0052).
Networks that are told where a picture was cut (SDXL, arXiv 2307.01952, section 2.2) are told. Windows of a batch have one
shape, which updates turn in time with each other, so that trainings that share a pass see windows of one shape, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

KEPT = 0.6  # share of each subject shown that a window keeps, where one can


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


def window_shape(side: int, multiple: int, shares: tuple[float, float], *, turned: bool) -> tuple[int, int]:
    """The window of a latent of `side` cells: `shares` of it, height and width, in whole `multiple`s; `turned`, the other way."""
    height, width = (
        side if share == 1 else min(side, max(multiple, round(share * side / multiple) * multiple)) for share in shares
    )
    return (width, height) if turned else (height, width)


def draw_windows(
    masks: Tensor, watched: Sequence[Sequence[int]], shape: tuple[int, int], generator: torch.Generator
) -> Windows:
    """A window for each sample with `masks` [B, K, H, W], of which each has labels that are `watched`.

    It keeps `KEPT` of every one of them, or as much of the one it keeps least of as any window does.
    """
    counts = torch.zeros(masks.shape[:2], dtype=torch.bool)
    for sample, labels in enumerate(watched):
        counts[sample, list(labels)] = True
    inside = functional.avg_pool2d(masks, shape, stride=1) * (shape[0] * shape[1])  # [B, K, y, x]
    share = inside / masks.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    least = share.masked_fill(~counts.to(masks.device)[:, :, None, None], 1.0).amin(dim=1).flatten(1)  # [B, y * x]
    enough = least >= least.amax(dim=1, keepdim=True).clamp(max=KEPT)
    luck = torch.rand(least.shape, generator=generator).to(masks.device)  # drawn on the CPU: no device's own numbers
    place = (luck * enough).argmax(dim=1)
    columns = inside.shape[-1]
    return Windows(shape=shape, corners=torch.stack([place // columns, place % columns], dim=1))
