"""Textual Inversion (Gal et al., arXiv 2208.01618), as the diffusers example trains it: tokens only, no masks.

The whole embedding matrix is a parameter of AdamW, and all rows but the new ones are put back after each update. The
example teaches one token from one folder; here the caption names every concept listed for the picture, in one run.
Steps and rates: the example's documented command (3000 updates, 5e-4 scaled by a batch of 4).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.concepts.baselines.training import lay_out, picture_loss, started_rows, tokens_of, train
from benchmarks.concepts.learned import Learned
from benchmarks.concepts.task import Outcome, Settings, Task

PUBLISHED = Settings(steps=3000, learning_rate=2e-3, batch_size=4)
SWEEP = (
    Settings(steps=300, learning_rate=1e-2, batch_size=4),
    Settings(steps=1000, learning_rate=5e-3, batch_size=4),
    Settings(steps=1000, learning_rate=2e-3, batch_size=4),
)


def learn(task: Task, settings: Settings) -> Outcome:
    """Train the new rows of the embedding matrices on whole pictures."""
    generator = torch.Generator().manual_seed(task.seed)
    words, first = lay_out(task, started_rows(task))
    own = {tower.key: tower.encoder.get_input_embeddings().weight.detach().float() for tower in task.backbone.towers}
    matrices = {key: torch.cat([own[key], first[key]]).requires_grad_() for key in own}

    def new_rows() -> dict[str, Tensor]:
        return {key: matrix[len(own[key]) :] for key, matrix in matrices.items()}

    def put_back() -> None:
        with torch.no_grad():
            for key, matrix in matrices.items():
                matrix[: len(own[key])] = own[key]

    seconds = train(
        [(tuple(matrices.values()), settings.learning_rate)],
        settings.steps,
        lambda: picture_loss(task, words, new_rows(), settings.batch_size, generator),
        after=put_back,
    )
    return Outcome(learned=Learned(tokens=tokens_of(words, new_rows())), steps=settings.steps, step_seconds=seconds)
