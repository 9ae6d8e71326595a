"""Several trainings on one frozen network, their batches in one pass.

Tokens are all that a training changes, and the network is the same for everybody. So the batches of different
trainings, of different people even, run through it side by side; gradients fall apart by sample, and nobody's rows meet
anybody else's. It saves a network's memory for every training but the first, and fills a device that one training's
small batch leaves idle (`benchmarks/throughput.py` shows what that gives). Trainings need not be of one length: who is
done drops out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from trainer.backbone import Backbone
from trainer.data import TrainingSet
from trainer.em.config import EMConfig
from trainer.em.loop import alternate
from trainer.em.m_step import Answer, Ask, Result, answer
from trainer.em.progress import TrainingProgress
from trainer.em.state import EMState


@dataclass(frozen=True, kw_only=True)
class Training:
    """What `fit` is given, for one of many."""

    pictures: TrainingSet
    config: EMConfig
    state: EMState | None = None
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None
    on_round: Callable[[EMState], None] = lambda state: None


def fit_together(backbone: Backbone, trainings: Sequence[Training]) -> list[EMState | Exception]:
    """Fit all of `trainings`; for each its state, or the exception that ended it and no other.

    Equal calls give equal bits. A training's bits differ from those of `fit` by rounding: a pass of another batch adds
    up in another order.
    """
    return answered_together(
        [
            alternate(backbone, one.pictures, one.config, one.state, on_progress=one.on_progress, on_round=one.on_round)
            for one in trainings
        ]
    )


def answered_together(askings: Sequence[Generator[Ask, Answer, Result]]) -> list[Result | Exception]:
    """Run all of `askings` side by side to their ends; for each its result, or the exception that ended it."""
    answers: Mapping[int, Answer | None] = dict.fromkeys(range(len(askings)))
    results: dict[int, Result | Exception] = {}
    while answers:
        asks: dict[int, Ask] = {}
        for number, given in answers.items():
            try:
                asks[number] = next(askings[number]) if given is None else askings[number].send(given)
            except StopIteration as done:
                results[number] = done.value
            except Exception as exc:  # of this training alone: a callback's, or its pictures'
                results[number] = exc
        answers = answer_all(asks)
    return [results[number] for number in range(len(askings))]


def answer_all(asks: Mapping[int, Ask]) -> dict[int, Answer]:
    """One pass for all asks of one latent size that read the same layers."""
    answers: dict[int, Answer] = {}
    ordered = sorted(asks, key=lambda number: _kind(asks[number]))
    for _kind_of, group in itertools.groupby(ordered, key=lambda number: _kind(asks[number])):
        numbers = list(group)
        answers |= zip(numbers, answer([asks[number] for number in numbers]), strict=True)
    return answers


def _kind(ask: Ask) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return tuple(ask.batch.noisy.shape[1:]), ask.problem.layers.cross
