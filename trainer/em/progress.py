"""What a training tells while it runs: its phase, its round, its updates, its loss, and how long it may still take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from sdk.errors import TrainingInputError
from trainer.em.config import EMConfig

REPORT_EVERY = 5  # updates between two progress values; each costs one wait for the device


class TrainingPhase(StrEnum):
    """What the optimiser is doing."""

    PREPARE = "prepare"  # encoding the pictures
    MASKS = "masks"  # E-step
    TOKENS = "tokens"  # M-step
    DONE = "done"
    ADAPTERS = "adapters"  # stage 2, where it is asked for
    SAMPLES = "samples"  # drawing what was learned, for the report; steps are pictures


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where a training stands. `eta_seconds` assumes that every round still allowed will be needed."""

    round: int
    rounds: int
    step: int
    steps: int
    loss: float | None
    eta_seconds: float | None
    phase: TrainingPhase


def diverged(steps: int) -> TrainingInputError:
    """What ends a training whose numbers are none any more."""
    return TrainingInputError(
        f"the training diverged: after {steps} steps its embeddings are no longer numbers; "
        "give m_step.learning_rate a smaller value"
    )


class ProgressReporter:
    """Turns finished updates into `TrainingProgress`, at most every `REPORT_EVERY` updates."""

    def __init__(self, config: EMConfig, on_progress: Callable[[TrainingProgress], None], *, done: int) -> None:
        self._rounds, self._steps = config.max_rounds, config.max_rounds * config.m_step.steps
        self._tell = on_progress
        self._started, self._first, self._step = time.monotonic(), done, done
        self._loss: float | None = None
        self.round = 0

    def on_step(self, step: int, loss: Tensor) -> None:
        """Take a finished update. Raises `TrainingInputError` when the loss that it would tell is no number."""
        self._step = step
        if step % REPORT_EVERY == 0:
            self._loss = float(loss)
            if not math.isfinite(self._loss):
                raise diverged(step)
            self(TrainingPhase.TOKENS)

    def __call__(self, phase: TrainingPhase) -> None:
        made = self._step - self._first
        elapsed = time.monotonic() - self._started
        done = phase is TrainingPhase.DONE
        eta = 0.0 if done else elapsed / made * (self._steps - self._step) if made else None
        self._tell(
            TrainingProgress(
                round=self.round,
                rounds=self._rounds,
                step=self._step,
                steps=self._steps,
                loss=self._loss,
                eta_seconds=eta,
                phase=phase,
            )
        )
