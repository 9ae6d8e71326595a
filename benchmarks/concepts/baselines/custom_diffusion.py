"""Custom Diffusion (Kumari et al., arXiv 2212.04488): keys and values of cross-attention, and a new token a concept.

A concept is a new token, started from a rare entry, before its class word, which stays as it is. Trained with
pictures of the class drawn by the base model (the paper's variant without retrieval). Published: batch 8, 8e-5, 250
updates for one concept and 500 for two together. The paper's scaling of pictures with words for size is left out.
"""

from __future__ import annotations

import torch

from benchmarks.concepts.baselines.dreambooth_lora import identified_rows
from benchmarks.concepts.baselines.training import lay_out, picture_loss, prior_loss, tokens_of, train, trained_in_place
from benchmarks.concepts.learned import Learned
from benchmarks.concepts.task import Outcome, Settings, Task

PUBLISHED = Settings(steps=500, learning_rate=8e-5, batch_size=8, network_rate=8e-5, prior_pictures=200)
SWEEP = (
    Settings(steps=250, learning_rate=5e-3, batch_size=4, network_rate=8e-5, prior_pictures=100),
    Settings(steps=250, learning_rate=1e-2, batch_size=4, network_rate=3e-4, prior_pictures=100),
    Settings(steps=500, learning_rate=1e-3, batch_size=4, network_rate=3e-4, prior_pictures=100),
)


def learn(task: Task, settings: Settings) -> Outcome:
    """Train the new tokens together with every cross-attention's keys and values."""
    generator = torch.Generator().manual_seed(task.seed)
    words, first = lay_out(task, identified_rows(task, range(len(task.scene.concepts))))  # they are trained
    new = torch.tensor([slot.rows[0] for slot in words.slots.values()], device=task.backbone.device)
    tokens = {key: rows[new].clone().requires_grad_() for key, rows in first.items()}

    def table() -> dict[str, torch.Tensor]:
        return {key: rows.index_put((new,), tokens[key]) for key, rows in first.items()}

    with trained_in_place(task.backbone, is_key_or_value) as (network, changes):
        seconds = train(
            [(list(tokens.values()), settings.learning_rate), (network, settings.network_rate)],
            settings.steps,
            lambda: (
                picture_loss(task, words, table(), settings.batch_size, generator)
                + prior_loss(task, words, table(), settings, generator)
            ),
        )
    learned = Learned(tokens=tokens_of(words, table()), changes={name: (change,) for name, change in changes.items()})
    return Outcome(learned=learned, steps=settings.steps, step_seconds=seconds)


def is_key_or_value(name: str) -> bool:
    """Whether a parameter makes keys or values of the text."""
    return name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
