"""Exact mean-field inference in a fully connected CRF, in plain torch, batched, for any number of labels.

Kraehenbuehl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (NeurIPS 2011),
equations 3 and 4, Potts compatibility. No lattice and no filtering: at mask resolution the kernel fits in memory, so
the sums over all pairs are taken as they are written. Each kernel is normalised symmetrically, D^-1/2 K D^-1/2, so a
weight reads as the log-odds that a unanimous neighbourhood gives. The unary is -log of calibrated probabilities;
values that are already probabilities never go through another softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor

PROBABILITY_FLOOR = 1e-5  # keeps -log finite
KEPT_PICTURES = 8  # 0.5 GB of kernels at 64 by 64 cells


def grid_positions(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell centres along each side, as fractions of the longer side."""
    scale = max(height, width)
    return (torch.arange(height) + 0.5) / scale, (torch.arange(width) + 0.5) / scale


def gaussian(positions: Tensor, deviation: float) -> Tensor:
    """The kernel exp(-d^2 / 2 s^2) between all pairs of `positions` [N] or [N, F], [N, N]."""
    points = positions if positions.ndim == 2 else positions[:, None]
    return torch.exp(
        torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square() / (-2 * deviation**2)
    )


class SmoothnessKernel:
    """The colour-blind kernel, without its diagonal. It is separable, so it costs two small products, exactly."""

    def __init__(self, height: int, width: int, deviation: float, device: torch.device) -> None:
        rows, columns = grid_positions(height, width)
        self._rows, self._columns = gaussian(rows, deviation).to(device), gaussian(columns, deviation).to(device)
        degree = self._sum(torch.ones(1, 1, height, width, device=device))
        self._scale = degree.clamp_min(1e-12).rsqrt()

    def _sum(self, field: Tensor) -> Tensor:
        return self._rows @ field @ self._columns - field

    def __call__(self, field: Tensor) -> Tensor:
        """Message [K, H, W] from `field` [K, H, W]."""
        return (self._scale * self._sum(self._scale * field[None]))[0]


class AppearanceKernel:
    """The bilateral kernel of one picture, without its diagonal, as a dense [H * W, H * W] matrix."""

    def __init__(self, colours: Tensor, distance: float, colour: float) -> None:
        _, height, width = colours.shape
        rows, columns = grid_positions(height, width)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # [2, H, W]
        features = torch.cat([place.to(colours) / distance, colours / colour]).flatten(1)  # [5, N]
        features = features - features.mean(dim=1, keepdim=True)
        half = features.square().sum(dim=0) / 2
        kernel = torch.addmm(half[:, None].add(half), features.T, features, beta=-1.0).clamp_(max=0.0).exp_()
        kernel.fill_diagonal_(0.0)
        scale = kernel.sum(dim=1).clamp_min(1e-12).rsqrt()
        self._kernel, self._scale = kernel, scale

    def __call__(self, field: Tensor) -> Tensor:
        """Message [K, H, W] from `field` [K, H, W]."""
        scaled = field.flatten(1) * self._scale  # [K, N]
        return ((scaled @ self._kernel) * self._scale).view_as(field)  # the kernel is symmetric; this side is fastest


class DenseCRF:
    """The field over pictures `colours` [B, 3, H, W] (0..255). A kernel is built when first wanted.

    The kernels of the first `KEPT_PICTURES` stay, 4 * (H * W)^2 bytes each; those of further pictures are built anew
    at every call.
    """

    def __init__(
        self,
        colours: Tensor,
        *,
        iterations: int,
        appearance_weight: float,
        appearance_distance: float,
        appearance_colour: float,
        smoothness_weight: float,
        smoothness_distance: float,
    ) -> None:
        self._colours, self._iterations = colours.float(), iterations
        self._appearance_weight, self._smoothness_weight = appearance_weight, smoothness_weight
        self._deviations = (appearance_distance, appearance_colour)
        height, width = colours.shape[2:]
        self._smoothness = SmoothnessKernel(height, width, smoothness_distance, colours.device)
        self._kept: dict[int, AppearanceKernel] = {}

    def __call__(self, probabilities: Tensor) -> Tensor:
        """Refine label `probabilities` [B, K, H, W]; same shape, sums to 1.

        A label whose probability is zero everywhere in a picture is absent from it and stays at zero.
        """
        expected = (len(self._colours), *self._colours.shape[2:])
        if probabilities.ndim != 4 or (len(probabilities), *probabilities.shape[2:]) != expected:
            raise ValueError(
                f"expected probabilities [B, K, H, W] with B, H, W = {expected}, found {tuple(probabilities.shape)}"
            )
        return torch.stack([self._refine(number, unary) for number, unary in enumerate(probabilities.float())])

    def _refine(self, number: int, unary: Tensor) -> Tensor:
        appearance = self._appearance(number) if self._appearance_weight else None
        present = unary.flatten(1).sum(dim=1) > 0
        log_unary = unary[present].clamp_min(PROBABILITY_FLOOR).log()  # -psi_u
        belief = log_unary.softmax(dim=0)
        for _ in range(self._iterations):
            message = self._smoothness_weight * self._smoothness(belief)
            if appearance is not None:
                message = message + self._appearance_weight * appearance(belief)
            belief = (log_unary + message).softmax(dim=0)
        result = torch.zeros_like(unary)
        result[present] = belief
        return result

    def _appearance(self, number: int) -> AppearanceKernel:
        kernel = self._kept.get(number) or AppearanceKernel(self._colours[number], *self._deviations)
        if number < KEPT_PICTURES:
            self._kept[number] = kernel
        return kernel
