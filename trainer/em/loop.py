"""The EM alternation, after Rahman et al., "Visual Concept-driven Image Generation with Text-to-Image Diffusion Model".

arXiv 2402.11487, section 3: tokens and masks are initialised from the class words and their cross-attention; then,
until converged, M-step (tokens under the masks) and E-step (masks from the tokens). Each step has a file of its own;
this one holds their order, the stopping rule and the account of what happened. Saving is the caller's, in `on_round`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from sdk.errors import TrainingInputError
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from trainer.backbone import Backbone
from trainer.data import TrainingSet
from trainer.em.config import EMConfig
from trainer.em.crf import DenseCRF
from trainer.em.e_step import Layers, MaskEstimate, e_step, harden, leakage, plan_crf, plan_layers
from trainer.em.first_masks import cluster_posterior, needs_clusters
from trainer.em.guards import guard_masks, mean_iou
from trainer.em.latents import Observed, observe
from trainer.em.m_step import Learned, evaluation_loss, m_step
from trainer.em.prompts import PromptCompiler, embed_words
from trainer.em.scene import Scene, layout_scene
from trainer.em.state import EMState, MaskVerdict, RoundRecord, restore_generator

REPORT_EVERY = 5  # updates between two progress values; each costs one wait for the device
VECTOR_SPREAD = 0.1  # of a class word's length: how far apart the vectors of one concept start


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


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What stays the same over the rounds."""

    backbone: Backbone
    scene: Scene
    observed: Observed
    layers: Layers
    crf: DenseCRF
    compiler: PromptCompiler
    origin: dict[str, Tensor]
    config: EMConfig


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
    report = _Reporter(config, on_progress, done=0 if state is None else state.step)
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
        state = run_round(problem, state, report)
        on_round(state)
    report(TrainingPhase.DONE)
    return state


def run_round(problem: Problem, state: EMState, report: _Reporter) -> EMState:
    """One M-step under the masks so far, then one guarded E-step under the new embeddings."""
    config, scene = problem.config, problem.scene
    generator = restore_generator(state)
    report.round = state.round + 1
    posterior = state.posterior.to(problem.backbone.device)

    started = time.monotonic()
    learned, losses = m_step(  # M: embeddings, given the masks
        problem.backbone,
        scene,
        problem.observed,
        posterior if state.round < config.e_step.soft_rounds else harden(posterior),
        learned_so_far(problem, state),
        problem.origin,
        problem.compiler,
        problem.layers,
        config.m_step,
        generator,
        first_step=state.step,
        total_steps=config.max_rounds * config.m_step.steps,
        on_step=report.on_step,
    )
    learned_at = time.monotonic()

    report(TrainingPhase.MASKS)
    estimate = estimate_masks(problem, learned.rows)  # E: masks, given the embeddings
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
        evaluation_loss=evaluate(problem, posterior, rows),
        mask_iou=0.0,
        verdicts=verdicts,
        leakage=tuple(tuple(row) for row in leakage(estimate.maps, posterior, presence).tolist()),
        seconds_e_step=0.0,
        seconds_m_step=0.0,
    )


def append_history(history: Tensor, posterior: Tensor) -> Tensor:
    """[r, N, G, G] uint8 with the winning labels of one more round."""
    return torch.cat([history, posterior.argmax(dim=1).to(torch.uint8).cpu()[None]])


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


def prepare(backbone: Backbone, pictures: TrainingSet, config: EMConfig) -> Problem:
    """Lay out the scene and encode the pictures, once."""
    scene = layout_scene(pictures)
    observed = observe(backbone, scene, config.crf.grid)
    return Problem(
        backbone=backbone,
        scene=scene,
        observed=observed,
        layers=plan_layers(backbone, observed.latent_size, config.e_step),
        crf=plan_crf(observed, config.crf),
        compiler=PromptCompiler(backbone.towers),
        origin=first_rows(backbone, scene),
        config=config,
    )


def first_rows(backbone: Backbone, scene: Scene) -> dict[str, Tensor]:
    """Each row starts as the mean of its class word's sub-token embeddings, tower key to [R, d]."""
    return {
        tower.key: torch.stack([embed_words(tower, word).mean(dim=0) for word in scene.row_words])
        for tower in backbone.towers
    }


def first_state(problem: Problem, fingerprint: str) -> EMState:
    """The state before the first round: the class words' embeddings, and the masks that they give."""
    scene = problem.scene
    generator = torch.Generator().manual_seed(problem.config.seed)
    device = problem.backbone.device
    rows = {key: _spread(scene, origin, generator).to(device) for key, origin in problem.origin.items()}
    started = time.monotonic()
    estimate = first_masks(problem, rows)
    posterior, verdicts = guard(problem, None, estimate.posterior, round=0)
    seconds = time.monotonic() - started
    record = account(problem, rows, estimate, posterior, verdicts, round=0)
    return EMState(
        fingerprint=fingerprint,
        labels=scene.labels,
        rows=rows,
        first_moments={key: torch.zeros_like(value) for key, value in rows.items()},
        second_moments={key: torch.zeros_like(value) for key, value in rows.items()},
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


def first_masks(problem: Problem, rows: dict[str, Tensor]) -> MaskEstimate:
    """Masks from the class words; clusters where a concept has none."""
    if not needs_clusters(problem.scene):
        return estimate_masks(problem, rows)
    config = problem.config
    return cluster_posterior(
        problem.backbone,
        problem.scene,
        problem.observed,
        rows,
        problem.compiler,
        config.e_step,
        problem.crf,
        seed=config.seed,
    )


def estimate_masks(problem: Problem, rows: dict[str, Tensor]) -> MaskEstimate:
    """The E-step under the embeddings `rows`."""
    config = problem.config
    return e_step(
        problem.backbone,
        problem.scene,
        problem.observed,
        rows,
        problem.compiler,
        config.e_step,
        problem.crf,
        seed=config.seed,
    )


def guard(
    problem: Problem, old: Tensor | None, proposed: Tensor, *, round: int
) -> tuple[Tensor, tuple[MaskVerdict, ...]]:
    """Believe the proposed masks only as far as the guards do."""
    return guard_masks(
        old,
        proposed,
        problem.scene.presence.to(proposed.device),
        problem.scene.backgrounds,
        problem.observed.is_given,
        problem.config.guards,
        round=round,
    )


def evaluate(problem: Problem, posterior: Tensor, rows: dict[str, Tensor]) -> float:
    """The loss on the fixed evaluation batch."""
    return evaluation_loss(
        problem.backbone,
        problem.scene,
        problem.observed,
        posterior,
        rows,
        problem.compiler,
        problem.config.m_step,
        timesteps=problem.config.stop.evaluation_timesteps,
        seed=problem.config.seed + 1,
    )


def fingerprint_training(backbone: Backbone, pictures: TrainingSet, config: EMConfig) -> str:
    """Names a training by all that decides its outcome."""
    return Digest.of(
        encode_canonical(
            {
                "base": backbone.digest,
                "config": _plain(config.encode()),
                "resolution": pictures.resolution,
                "concepts": [[c.name, c.kind.value, c.class_word, c.vectors] for c in pictures.concepts],
                "pictures": [
                    {
                        "pixels": Digest.of(picture.pixels.numpy().tobytes()),
                        "concepts": list(picture.concepts),
                        "caption": picture.caption or "",
                        "masks": {name: Digest.of(mask.numpy().tobytes()) for name, mask in picture.masks.items()},
                    }
                    for picture in pictures.pictures
                ],
            }
        )
    )


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


class _Reporter:
    """Turns finished updates into `TrainingProgress`, at most every `REPORT_EVERY` updates."""

    def __init__(self, config: EMConfig, on_progress: Callable[[TrainingProgress], None], *, done: int) -> None:
        self._rounds, self._steps = config.max_rounds, config.max_rounds * config.m_step.steps
        self._tell = on_progress
        self._started, self._first, self._step = time.monotonic(), done, done
        self._loss: float | None = None
        self.round = 0

    def on_step(self, step: int, loss: Tensor) -> None:
        self._step = step
        if step % REPORT_EVERY == 0:
            self._loss = float(loss)
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
