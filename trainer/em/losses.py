"""The two terms of the M-step's objective, as functions of tensors only.

The diffusion term is the masked objective of Break-A-Scene (arXiv 2305.16311, equation 1), but normalised by mask
area, so that a concept of three percent of a picture weighs as much as its background. The attention term is a
cross-entropy over tokens (as PartCraft found better than a per-token MSE): each cell should attend to the token that
owns it, every cell of a mask counts, and no token can satisfy it by one bright spot.
"""

from __future__ import annotations

from torch import Tensor

MIN_AREA = 0.005  # share of the picture; keeps the weight of a vanishing mask bounded
FLOOR = 1e-8


def area_normalised_weights(masks: Tensor, shares: Tensor) -> Tensor:
    """Cell weights [B, H, W] from `masks` [B, K, H, W] and each label's `shares` [B, K] of the loss.

    Every label's weights sum to its share, whatever its area; weights of a sample sum to 1.
    """
    if masks.shape[:2] != shares.shape:
        raise ValueError(f"masks {tuple(masks.shape)} and shares {tuple(shares.shape)} should agree in [B, K]")
    cells = masks.shape[2] * masks.shape[3]
    area = masks.sum(dim=(2, 3)).clamp_min(MIN_AREA * cells)  # [B, K]
    weights = (masks * (shares / area)[:, :, None, None]).sum(dim=1)
    return weights / weights.sum(dim=(1, 2), keepdim=True).clamp_min(FLOOR)


def masked_diffusion_loss(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Squared error of `prediction` against `target` [B, C, H, W] under cell `weights` [B, H, W], mean over B."""
    error = (prediction.float() - target.float()).square().mean(dim=1)  # [B, H, W]
    return (error * weights).sum(dim=(1, 2)).mean()


def attention_loss(attended: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
    """Cross-entropy between who owns a cell and which label's tokens it attends to, mean over labels, then samples.

    Args:
        attended: attention to each label's tokens, [B, K, H, W]; zero for labels not `shown`.
        masks: posterior of the labels, [B, K, H, W].
        shown: which labels the prompt shows, [B, K]. A sample that shows fewer than two says nothing.
    """
    visible = shown[:, :, None, None]
    share = (attended + FLOOR) * visible
    share = share / share.sum(dim=1, keepdim=True).clamp_min(FLOOR)
    surprise = -(share.clamp_min(FLOOR).log() * masks * visible).sum(dim=(2, 3))  # [B, K]
    cells = masks.shape[2] * masks.shape[3]
    by_label = surprise / masks.sum(dim=(2, 3)).clamp_min(MIN_AREA * cells)
    telling = (shown.sum(dim=1) > 1).to(by_label)  # [B]
    per_sample = by_label.sum(dim=1) / shown.sum(dim=1).clamp_min(1) * telling
    return per_sample.sum() / telling.sum().clamp_min(1)


def anchor_loss(rows: Tensor, origin: Tensor) -> Tensor:
    """Squared distance of `rows` [R, d] from their class words `origin`, relative to the origin's squared length."""
    return ((rows - origin).square().sum(dim=1) / origin.square().sum(dim=1).clamp_min(FLOOR)).mean()
