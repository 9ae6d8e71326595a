"""What an update of the M-step sees: pictures, the concepts that a prompt shows of each, noise, and a window around them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.em.config import MStepConfig
from trainer.em.latents import Observed, resize
from trainer.em.losses import area_normalised_weights
from trainer.em.problem import Problem
from trainer.em.prompts import CompiledPrompt
from trainer.em.scene import UNNAMED_BACKGROUND, Scene, label_columns, picture_prompt
from trainer.em.windows import draw_windows, turns, window_shape


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One draw: a picture, whether mirrored, the labels its prompt shows in their order, and the words around them."""

    picture: int
    flip: bool
    labels: tuple[int, ...]
    template: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the network is given, and what its answer is held against: `weights` [B, h, w] of the cells' errors,
    `columns` [B, K, L] of each label's tokens, and its `masks` [B, K, m, n] at the attention maps' size. `places` [B, 4] say
    where in their pictures the samples are: height and width of all of it, top and left, in cells."""

    noisy: Tensor
    timesteps: Tensor
    prompts: list[CompiledPrompt]
    target: Tensor
    weights: Tensor
    columns: Tensor
    masks: Tensor
    places: Tensor


def shapes_of(problem: Problem, cell_masks: Tensor) -> tuple[tuple[int, int], ...]:
    """The windows that updates see by turns, height and width in cells."""
    side, scene, multiple = problem.observed.latent_size, problem.scene, problem.backbone.latent_multiple
    shapes = [window_shape(side, multiple, window) for window in problem.config.m_step.windows]
    return turns(cell_masks, [watched(scene, scene.present(picture)) for picture in range(len(cell_masks))], shapes)


def draw_batch(
    problem: Problem, cell_masks: Tensor, generator: torch.Generator, *, shape: tuple[int, int] | None = None
) -> Batch:
    """A random batch under `cell_masks` [N, K, S, S]: windows of `shape` cells, or whole pictures."""
    backbone, scene, config = problem.backbone, problem.scene, problem.config.m_step
    side = problem.observed.latent_size
    shape = shape or (side, side)
    samples = draw_samples(scene, config, generator)
    device = backbone.device
    picture = torch.tensor([sample.picture for sample in samples], device=device)
    flip = torch.tensor([sample.flip for sample in samples], device=device)
    masks = torch.where(flip[:, None, None, None], cell_masks[picture].flip(-1), cell_masks[picture])
    latents = draw_latents(problem.observed, flip.long(), picture, generator)
    windows = draw_windows(masks, [watched(scene, sample.labels) for sample in samples], shape, generator)
    masks, latents = windows.cut(masks), windows.cut(latents)
    timesteps = draw_timesteps(backbone.train_timesteps, len(samples), config, generator).to(device)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    prompts = [problem.compiler.compile(picture_prompt(scene, s.picture, s.labels, s.template)) for s in samples]
    return Batch(
        noisy=backbone.add_noise(latents, noise, timesteps),
        timesteps=timesteps,
        prompts=prompts,
        target=backbone.target(latents, noise, timesteps),
        weights=sample_weights(scene, samples, masks, config.background_weight),
        columns=label_columns(scene, [s.picture for s in samples], prompts).to(device),
        masks=resize(masks, (shape[0] * problem.layers.size // side, shape[1] * problem.layers.size // side)),
        places=windows.places(side),
    )


def watched(scene: Scene, labels: tuple[int, ...]) -> tuple[int, ...]:
    """Of the labels shown, those that a window is to keep: the subjects, or the backgrounds if there are no others."""
    return tuple(label for label in labels if not scene.backgrounds[label]) or labels


def sample_weights(scene: Scene, samples: list[Sample], masks: Tensor, background_weight: float) -> Tensor:
    """Cell weights [B, h, w] of the union of the masks shown; a style adds the whole picture evenly."""
    shares = torch.zeros(len(samples), masks.shape[1] + 1)
    for index, sample in enumerate(samples):
        for label in sample.labels:
            shares[index, label] = background_weight if scene.labels[label] == UNNAMED_BACKGROUND else 1.0
        shares[index, -1] = 1.0 if scene.styles(sample.picture) else 0.0
    everywhere = torch.ones_like(masks[:, :1])
    return area_normalised_weights(torch.cat([masks, everywhere], dim=1), shares.to(masks))


def draw_samples(scene: Scene, config: MStepConfig, generator: torch.Generator) -> list[Sample]:
    """A batch: pictures without repetition as far as they last, each with a union of some of its concepts."""
    count = len(scene.pictures)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(-(-config.batch_size // count))])
    samples = []
    for picture in order[: config.batch_size].tolist():
        flip, whole = torch.rand(2, generator=generator).tolist()
        template = config.templates[int(torch.randint(len(config.templates), (), generator=generator))]
        labels = scene.present(picture)
        if whole < config.subset_chance:
            labels = draw_subset(scene, labels, generator)
        order = torch.randperm(len(labels), generator=generator).tolist()  # so that no row learns its place in a prompt
        labels = tuple(labels[at] for at in order)
        samples.append(Sample(picture=picture, flip=flip < config.flip_chance, labels=labels, template=template))
    return samples


def draw_subset(scene: Scene, labels: tuple[int, ...], generator: torch.Generator) -> tuple[int, ...]:
    """Union sampling: the size uniform, then the members; never the unnamed background alone."""
    named = [label for label in labels if scene.labels[label] != UNNAMED_BACKGROUND]
    if not named:
        return labels
    size = int(torch.randint(1, len(labels) + 1, (), generator=generator))
    chosen = [labels[i] for i in torch.randperm(len(labels), generator=generator)[:size].tolist()]
    if not set(chosen) & set(named):
        chosen = [named[int(torch.randint(len(named), (), generator=generator))]]
    return tuple(sorted(chosen))


def draw_latents(observed: Observed, flip: Tensor, picture: Tensor, generator: torch.Generator) -> Tensor:
    """Samples of the VAE's posterior, [B, C, h, w]."""
    mean, std = observed.mean[flip, picture], observed.std[flip, picture]
    return mean + std * torch.randn(mean.shape, generator=generator).to(mean)


def draw_timesteps(total: int, count: int, config: MStepConfig, generator: torch.Generator) -> Tensor:
    """One noise level from each of `count` equal strata, in random order, [count] int64."""
    low, high = config.timestep_low * total, config.timestep_high * total
    place = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    levels = (low + (high - low) * place).long().clamp(0, total - 1)
    return levels[torch.randperm(count, generator=generator)]
