"""The EM alternation, after Rahman et al., "Visual Concept-driven Image Generation with Text-to-Image Diffusion Model".

arXiv 2402.11487, section 3: tokens and masks are initialised from the class words and their cross-attention; then,
until converged, M-step (tokens under the masks) and E-step (masks from the tokens). Each step has a file of its own;
this one holds their order, the stopping rule and the account of what happened. Saving is the caller's, in `on_round`.
Who runs the network for the M-step is not said here: `alternate` asks, and `fit` or `together` answers.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from sdk.errors import TrainingInputError
from trainer.backbone import Backbone
from trainer.data import TrainingSet
from trainer.em.config import EMConfig
from trainer.em.e_step import MaskEstimate, harden, leakage, winners
from trainer.em.guards import mean_iou
from trainer.em.m_step import Answer, Ask, Learned, answered, evaluation_loss, m_step
from trainer.em.problem import Problem, estimate_masks, fingerprint_training, first_masks, guard, prepare
from trainer.em.progress import ProgressReporter, TrainingPhase, TrainingProgress
from trainer.em.rearrange import with_rearranged
from trainer.em.scene import Scene
from trainer.em.state import EMState, MaskVerdict, RoundRecord, restore_generator

VECTOR_SPREAD = 0.1  # of a class word's length: how far apart the vectors of one concept start


def fit(
    backbone: Backbone,
    pictures: TrainingSet,
    config: EMConfig,
    state: EMState | None = None,
    *,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    on_round: Callable[[EMState], None] = lambda state: None,
) -> EMState:
    """Alternate masks (E) and placeholder embeddings (M) until converged or `config.max_rounds`.

    Restartable: everything the next round needs is in `state`; a run that goes on from a saved state gives the same
    bits as one that was never interrupted, on the same machine. An exception out of a callback ends the training.

    Raises:
        TrainingInputError: `state` belongs to another base model, other pictures, concepts or settings.
    """
    return answered(alternate(backbone, pictures, config, state, on_progress=on_progress, on_round=on_round))


def alternate(
    backbone: Backbone,
    pictures: TrainingSet,
    config: EMConfig,
    state: EMState | None = None,
    *,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    on_round: Callable[[EMState], None] = lambda state: None,
) -> Generator[Ask, Answer, EMState]:
    """The same, for whoever answers the M-step's asks."""
    report = ProgressReporter(config, on_progress, done=0 if state is None else state.step)
    report(TrainingPhase.PREPARE)
    problem = prepare(backbone, pictures, config)
    fingerprint = fingerprint_training(backbone, pictures, config)
    if state is None:
        state = first_state(problem, fingerprint)
        on_round(state)
    elif state.fingerprint != fingerprint:
        raise TrainingInputError(
            "the saved training state is of another base model, other pictures, concepts or settings; "
            "remove it to start over, or restore what it was trained from"
        )
    while not state.converged and state.round < config.max_rounds:
        state = yield from run_round(problem, state, report)
        on_round(state)
    report(TrainingPhase.DONE)
    return state


def run_round(problem: Problem, state: EMState, report: ProgressReporter) -> Generator[Ask, Answer, EMState]:
    """One M-step under the masks so far, then one guarded E-step under the new embeddings."""
    config, scene = problem.config, problem.scene
    generator = restore_generator(state)
    report.round = state.round + 1
    posterior = state.posterior.to(problem.backbone.device)

    started = time.monotonic()
    material, masks = training_material(problem, posterior, generator, round=state.round)
    learned, losses = yield from m_step(  # M: embeddings, given the masks
        material,
        masks,
        learned_so_far(problem, state),
        generator,
        first_step=state.step,
        on_step=report.on_step,
    )
    learned_at = time.monotonic()

    report(TrainingPhase.MASKS)
    estimate = estimate_masks(problem, learned.rows, state.said.to(posterior))  # E: masks, given the embeddings
    posterior, verdicts = guard(problem, posterior, estimate.posterior, round=state.round)
    estimated_at = time.monotonic()
    record = account(problem, learned.rows, estimate, posterior, verdicts, round=state.round + 1)
    record = dataclasses.replace(
        record,
        losses=tuple(losses.tolist()),
        mask_iou=mean_iou(state.posterior.to(posterior.device), posterior, scene.presence.to(posterior.device)),
        seconds_e_step=estimated_at - learned_at,
        seconds_m_step=learned_at - started,
    )
    records = (*state.records, record)
    return state.next_round(
        rows=learned.rows,
        first_moments=learned.first,
        second_moments=learned.second,
        posterior=posterior,
        history=append_history(state.history, posterior),
        generator=generator.get_state(),
        step=state.step + config.m_step.steps,
        records=records,
        converged=has_converged(records, config),
    )


def training_material(
    problem: Problem, posterior: Tensor, generator: torch.Generator, *, round: int
) -> tuple[Problem, Tensor]:
    """What an M-step learns from: posteriors while masks are young, then hard masks with rearranged copies."""
    config = problem.config
    if round < config.e_step.soft_rounds:
        return problem, posterior
    scene, observed, masks = with_rearranged(
        problem.backbone, problem.scene, problem.observed, harden(posterior), config.m_step.rearranged, generator
    )
    return dataclasses.replace(problem, scene=scene, observed=observed), masks


def account(
    problem: Problem,
    rows: dict[str, Tensor],
    estimate: MaskEstimate,
    posterior: Tensor,
    verdicts: tuple[MaskVerdict, ...],
    *,
    round: int,
) -> RoundRecord:
    """What an E-step gave, measured; losses, change and seconds are the caller's to add."""
    presence = problem.scene.presence.to(posterior.device)
    return RoundRecord(
        round=round,
        losses=(),
        evaluation_loss=evaluation_loss(problem, posterior, rows),
        mask_iou=0.0,
        verdicts=verdicts,
        leakage=tuple(tuple(row) for row in leakage(estimate.maps, posterior, presence).tolist()),
        seconds_e_step=0.0,
        seconds_m_step=0.0,
    )


def append_history(history: Tensor, posterior: Tensor) -> Tensor:
    """[r, N, G, G] uint8 with the winning labels of one more round."""
    return torch.cat([history, winners(posterior).cpu()[None]])


def learned_so_far(problem: Problem, state: EMState) -> Learned:
    """Rows and moments of `state`, on the network's device."""
    device = problem.backbone.device
    parts = (state.rows, state.first_moments, state.second_moments)
    rows, first, second = ({key: value.to(device) for key, value in part.items()} for part in parts)
    return Learned(rows=rows, first=first, second=second)


def has_converged(records: tuple[RoundRecord, ...], config: EMConfig) -> bool:
    """Whether the last `patience` rounds left the masks still and did not better the evaluation loss."""
    stop = config.stop
    records = records[1:]  # the first is of the masks that the class words gave
    if len(records) < max(stop.min_rounds, stop.patience + 1):
        return False
    recent = records[-stop.patience :]
    best_before = min(record.evaluation_loss for record in records[: -stop.patience])
    still = all(record.mask_iou >= stop.mask_iou for record in recent)
    return still and min(record.evaluation_loss for record in recent) > best_before * (1 - stop.loss_gain)


def first_state(problem: Problem, fingerprint: str) -> EMState:
    """The state before the first round: the class words' embeddings, and the masks that they give."""
    scene = problem.scene
    generator = torch.Generator().manual_seed(problem.config.seed)
    device = problem.backbone.device
    rows = {key: _spread(scene, origin, generator).to(device) for key, origin in problem.origin.items()}
    started = time.monotonic()
    estimate = first_masks(problem)
    posterior, verdicts = guard(problem, None, estimate.posterior, round=0)
    seconds = time.monotonic() - started
    record = account(problem, rows, estimate, posterior, verdicts, round=0)
    return EMState(
        fingerprint=fingerprint,
        labels=scene.labels,
        rows=rows,
        first_moments={key: torch.zeros_like(value) for key, value in rows.items()},
        second_moments={key: torch.zeros_like(value) for key, value in rows.items()},
        said=estimate.heard,
        posterior=posterior,
        history=append_history(
            torch.zeros(0, *posterior.shape[:1], *posterior.shape[2:], dtype=torch.uint8), posterior
        ),
        generator=generator.get_state(),
        round=0,
        step=0,
        converged=False,
        records=(dataclasses.replace(record, seconds_e_step=seconds),),
    )


def _spread(scene: Scene, origin: Tensor, generator: torch.Generator) -> Tensor:
    """Set the vectors of multi-vector concepts a little apart, so that they can learn different things."""
    rows = origin.clone()
    for slot in scene.slots.values():
        for row in slot.rows[1:]:
            direction = torch.randn(origin.shape[1], generator=generator)
            rows[row] += VECTOR_SPREAD * origin[row].norm() * direction / direction.norm()
    return rows
