"""DreamBooth (Ruiz et al., arXiv 2208.12242) with low-rank changes (Hu et al., arXiv 2106.09685), as diffusers trains it.

A concept is a rare identifier before its class word; neither row is trained. No two concepts of the benchmark share one, for
what was learned apart is composed. Low-rank changes of every attention
projection of the U-Net are: rank 4, 500 updates at 1e-4, batch 1. Prior preservation is the paper's, weight 1; the
LoRA example leaves it out by default, so the published settings here do too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.concepts.baselines.training import (
    class_rows,
    lay_out,
    picture_loss,
    prior_loss,
    rare_row,
    tokens_of,
    train,
)
from benchmarks.concepts.learned import Learned, Rows, adapter_changes
from benchmarks.concepts.scenes import number_of
from benchmarks.concepts.task import Outcome, Settings, Task
from trainer.em.adapters import adapted, first_adapters, trained_factors

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
    words, table = lay_out(task, identified_rows(task, [number_of(spec) for spec in task.scene.concepts]))
    adapters = first_adapters(task.backbone.unet, PROJECTIONS, settings.rank, generator)
    with adapted(task.backbone.unet, adapters):
        seconds = train(
            [(trained_factors(adapters), settings.learning_rate)],
            settings.steps,
            lambda: (
                picture_loss(task, words, table, settings.batch_size, generator)
                + prior_loss(task, words, table, settings, generator)
            ),
        )
    changes = adapter_changes(adapters)
    return Outcome(
        learned=Learned(tokens=tokens_of(words, table), changes=changes), steps=settings.steps, step_seconds=seconds
    )


def identified_rows(task: Task, numbers: Sequence[int]) -> dict[str, Rows]:
    """For each concept of the scene the identifier of its number, then its class word."""
    rows: dict[str, Rows] = {}
    for number, spec in zip(numbers, task.scene.concepts, strict=True):
        rare, word = rare_row(task.backbone, number), class_rows(task.backbone, spec)
        rows[spec.name] = {key: torch.cat([rare[key], word[key]]) for key in rare}
    return rows
