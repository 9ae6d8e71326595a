"""One training's problem: what stays the same over the rounds, and the E-step and the guards put to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdk.errors import TrainingInputError
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from trainer.backbone import Backbone
from trainer.data import TrainingSet
from trainer.em.appearance import Votes, plan_votes
from trainer.em.attention import Layers
from trainer.em.config import EMConfig, EStepConfig
from trainer.em.crf import DenseCRF
from trainer.em.e_step import E_STEP_TEMPLATE, MaskEstimate, e_step, plan_crf, read_layers
from trainer.em.first_masks import cluster_posterior, needs_clusters
from trainer.em.guards import guard_masks
from trainer.em.latents import Observed, observe
from trainer.em.prompts import PromptCompiler, embed_words
from trainer.em.scene import Scene, in_words, layout_scene, picture_prompt
from trainer.em.state import MaskVerdict


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What stays the same over the rounds."""

    backbone: Backbone
    scene: Scene
    observed: Observed
    layers: Layers
    votes: Votes
    crf: DenseCRF
    compiler: PromptCompiler
    origin: dict[str, Tensor]
    config: EMConfig


def prepare(backbone: Backbone, pictures: TrainingSet, config: EMConfig) -> Problem:
    """Lay out the scene and encode the pictures, once.

    Raises:
        TrainingInputError: a picture's caption is too long for the text encoders.
    """
    scene = layout_scene(pictures)
    compiler = PromptCompiler(backbone.towers)
    check_captions(scene, compiler, config.m_step.templates)
    observed = observe(backbone, scene, config.crf.grid)
    layers = read_layers(backbone, observed.latent_size, config.e_step)
    return Problem(
        backbone=backbone,
        scene=scene,
        observed=observed,
        layers=layers,
        votes=plan_votes(backbone, scene, observed, compiler, layers, config.appearance, seed=config.seed),
        crf=plan_crf(observed, config.crf),
        compiler=compiler,
        origin=first_rows(backbone, scene),
        config=config,
    )


def check_captions(scene: Scene, compiler: PromptCompiler, templates: Sequence[str]) -> None:
    """Compile the longest prompts of every picture, so that one that is too long is found before anything is trained."""
    spoken = [scene] if needs_clusters(scene) else [scene, in_words(scene)]
    for number, picture in enumerate(scene.pictures):
        try:
            for each in spoken:
                compiler.compile(picture_prompt(each, number, scene.present(number), E_STEP_TEMPLATE))
            for labels, template in itertools.product(longest_shown(scene, number), templates):
                compiler.compile(picture_prompt(scene, number, labels, template))
        except TrainingInputError as exc:
            raise TrainingInputError(f"{picture.name}: {exc.message}") from exc


def longest_shown(scene: Scene, picture: int) -> list[tuple[int, ...]]:
    """All labels of a picture, which its caption shows where it has one, and all but one each, which templates do."""
    labels = scene.present(picture)
    return [labels, *(labels[:at] + labels[at + 1 :] for at in range(len(labels)) if len(labels) > 1)]


def first_rows(backbone: Backbone, scene: Scene) -> dict[str, Tensor]:
    """Each row starts as the mean of its class word's sub-token embeddings, tower key to [R, d]."""
    return {
        tower.key: torch.stack([embed_words(tower, word).mean(dim=0) for word in scene.row_words])
        for tower in backbone.towers
    }


def first_masks(problem: Problem) -> MaskEstimate:
    """Masks from the class words, said as a person would; clusters where a concept has none."""
    if needs_clusters(problem.scene):
        return cluster_posterior(*_e_step_parts(problem, problem.scene, problem.origin), seed=problem.config.seed)
    words = in_words(problem.scene)
    rows = first_rows(problem.backbone, words)
    return e_step(*_e_step_parts(problem, words, rows), seed=problem.config.seed)


def estimate_masks(problem: Problem, rows: dict[str, Tensor], said: Tensor | None = None) -> MaskEstimate:
    """The E-step under the embeddings `rows`, beside what the class words `said`."""
    return e_step(*_e_step_parts(problem, problem.scene, rows), seed=problem.config.seed, said=said)


def _e_step_parts(
    problem: Problem, scene: Scene, rows: dict[str, Tensor]
) -> tuple[Backbone, Scene, Observed, dict[str, Tensor], PromptCompiler, EStepConfig, Votes, DenseCRF]:
    return (
        problem.backbone,
        scene,
        problem.observed,
        rows,
        problem.compiler,
        problem.config.e_step,
        problem.votes,
        problem.crf,
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
