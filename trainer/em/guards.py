"""Guards against the ways in which self-made masks go wrong: a jump, a collapse, a swap.

Alternation trains tokens under masks that the tokens themselves drew. A wrong mask that is believed once confirms
itself in the next round, so a new mask must earn its place (AttenCraft keeps the old one below a similarity of 0.8).
Labels share out a picture, so a refusal keeps all of that picture's old masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.em.config import GuardConfig
from trainer.em.e_step import harden
from trainer.em.state import MaskVerdict


def mask_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of soft or hard masks [..., H, W]; two empty masks agree entirely."""
    both = torch.minimum(one, other).sum(dim=(-2, -1))
    either = torch.maximum(one, other).sum(dim=(-2, -1))
    return torch.where(either > 0, both / either.clamp_min(1e-12), torch.ones_like(either))


def guard_masks(
    old: Tensor | None,
    new: Tensor,
    presence: Tensor,
    backgrounds: Sequence[bool],
    is_given: Tensor,
    config: GuardConfig,
    *,
    round: int,
) -> tuple[Tensor, tuple[MaskVerdict, ...]]:
    """Return the posterior [N, K, G, G] to go on with, and a verdict on every present label of every picture.

    Masks that the user gave are never judged. Without an old posterior a collapsed first estimate is replaced by an
    even one, which claims nothing: hard masks are empty there, and whatever a later round finds is no jump.
    """
    verdicts = tuple(
        _judge(old, new, picture, label, presence, backgrounds[label], config, round)
        for picture, label in presence.nonzero().tolist()
        if not is_given[picture, label]
    )
    refused = sorted({verdict.picture for verdict in verdicts if verdict.reason})
    taken = new.clone()
    for picture in refused:
        taken[picture] = old[picture] if old is not None else _even(new[picture], presence[picture], is_given[picture])
    return taken, verdicts


def _judge(
    old: Tensor | None,
    new: Tensor,
    picture: int,
    label: int,
    presence: Tensor,
    background: bool,
    config: GuardConfig,
    round: int,
) -> MaskVerdict:
    hard = harden(new[picture : picture + 1])[0]
    area = float(hard[label].mean())
    before = None if old is None else harden(old[picture : picture + 1])[0]
    if before is not None and not before[label].any():
        before = None
    iou = 1.0 if before is None else float(mask_iou(before[label], hard[label]))
    alone = int(presence[picture].sum()) == 1
    if not alone and (area < config.min_area or (area > config.max_area and not background)):
        reason = "collapse"
    elif before is not None and round >= config.warm_up and _swapped(before, hard, label, presence[picture]):
        reason = "swap"
    elif before is not None and round >= config.warm_up and iou < config.jump_iou:
        reason = "jump"
    else:
        reason = ""
    return MaskVerdict(picture=picture, label=label, reason=reason, iou=iou, area=area)


def _swapped(before: Tensor, after: Tensor, label: int, present: Tensor) -> bool:
    """Whether `label` now covers what another label covered before, more than what it covered itself."""
    own = mask_iou(before[label], after[label])
    others = [other for other in present.nonzero().flatten().tolist() if other != label]
    return any(bool(mask_iou(before[other], after[label]) > own) for other in others)


def _even(posterior: Tensor, present: Tensor, is_given: Tensor) -> Tensor:
    """Equal shares for all present labels, outside what the user gave."""
    free = present & ~is_given
    room = 1 - (posterior * is_given[:, None, None]).sum(dim=0)
    even = free[:, None, None] * room / free.sum().clamp_min(1)
    return torch.where(is_given[:, None, None], posterior, even)


def mean_iou(old: Tensor, new: Tensor, presence: Tensor) -> float:
    """Mean overlap (IoU) of new with old masks over present labels."""
    return float(mask_iou(harden(old), harden(new))[presence].mean())
