"""DreamBooth (Ruiz et al., arXiv 2208.12242) with low-rank changes (Hu et al., arXiv 2106.09685), as diffusers trains it.

A concept is a rare identifier before its class word; neither row is trained. Low-rank changes of every attention
projection of the U-Net are: rank 4, 500 updates at 1e-4, batch 1. Prior preservation is the paper's, weight 1; the
LoRA example leaves it out by default, so the published settings here do too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.concepts.baselines.training import (
    class_rows,
    lay_out,
    picture_loss,
    prior_loss,
    rare_row,
    tokens_of,
    train,
)
from benchmarks.concepts.learned import Change, Learned, Rows
from benchmarks.concepts.task import Outcome, Settings, Task
from trainer.backbone import Backbone

PUBLISHED = Settings(steps=500, learning_rate=1e-4, batch_size=1, rank=4)
SWEEP = (
    Settings(steps=500, learning_rate=1e-3, batch_size=1, rank=4),
    Settings(steps=300, learning_rate=1e-3, batch_size=2, rank=4, prior_pictures=100),
    Settings(steps=500, learning_rate=3e-4, batch_size=2, rank=8, prior_pictures=100),
)
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def learn(task: Task, settings: Settings) -> Outcome:
    """Train low-rank changes under captions of identifiers."""
    generator = torch.Generator().manual_seed(task.seed)
    words, table = lay_out(task, identified_rows(task))
    with low_rank(task.backbone, settings.rank, generator) as factors:
        parameters = [factor for pair in factors.values() for factor in pair]
        seconds = train(
            [(parameters, settings.learning_rate)],
            settings.steps,
            lambda: (
                picture_loss(task, words, table, settings.batch_size, generator)
                + prior_loss(task, words, table, settings, generator)
            ),
        )
    changes = {
        f"unet.{name}.weight": (Change(left=up.detach().cpu(), right=down.detach().cpu()),)
        for name, (down, up) in factors.items()
    }
    return Outcome(
        learned=Learned(tokens=tokens_of(words, table), changes=changes), steps=settings.steps, step_seconds=seconds
    )


def identified_rows(task: Task) -> dict[str, Rows]:
    """For each concept an identifier of its own, then its class word."""
    rows: dict[str, Rows] = {}
    for number, spec in enumerate(task.scene.concepts):
        rare, word = rare_row(task.backbone, number), class_rows(task.backbone, spec)
        rows[spec.name] = {key: torch.cat([rare[key], word[key]]) for key in rare}
    return rows


@contextmanager
def low_rank(backbone: Backbone, rank: int, generator: torch.Generator) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """While open, attention projections add `up @ down` of their input; yields (down [r, in], up [out, r]) by module."""
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, module in backbone.unet.named_modules():
        if ".attn" not in name or not name.endswith(PROJECTIONS) or not isinstance(module, nn.Linear):
            continue
        down = torch.randn(rank, module.in_features, generator=generator) / rank
        up = torch.zeros(module.out_features, rank)
        pair = (down.to(backbone.device).requires_grad_(), up.to(backbone.device).requires_grad_())
        factors[name] = pair
        handles.append(module.register_forward_hook(_adding(*pair)))
    try:
        yield factors
    finally:
        for handle in handles:
            handle.remove()


def _adding(down: Tensor, up: Tensor):  # type: ignore[no-untyped-def]
    def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = functional.linear(functional.linear(inputs[0].float(), down), up)
        return output + change.to(output.dtype)

    return hook
