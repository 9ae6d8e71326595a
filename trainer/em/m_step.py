"""The M-step: learn the concepts' own embedding rows under the masks, everything else frozen.

Masked diffusion objective with union sampling over subsets of a picture's concepts (Break-A-Scene, arXiv 2305.16311,
section 3.2), plus the cross-entropy attention term of `losses`. The parameters are the rows [R, d] alone: Adam's
state is two more tensors of that size, and the embedding matrix is never touched.

A step does not run the network: it *asks* for the gradients of a batch, and `answer` gives them. Because the network is
frozen and a sample's gradient is its own, asks of several trainings can share one pass (`together`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from trainer.backbone import TextConditioning
from trainer.em.attention import attention_capture
from trainer.em.batches import Batch, Sample, draw_batch, sample_weights, shapes_of
from trainer.em.e_step import full_prompts, stratified
from trainer.em.latents import resize
from trainer.em.losses import anchor_loss, attention_loss, masked_diffusion_loss
from trainer.em.problem import Problem
from trainer.em.progress import diverged
from trainer.em.prompts import encode_prompts

ADAM_EPSILON = 1e-8
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Rows and Adam's moments, tower key to [R, d] each."""

    rows: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question to the network: loss and gradients of one batch with respect to `rows`."""

    problem: Problem
    batch: Batch
    rows: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The loss, and its gradients under the rows' tower keys."""

    loss: Tensor
    gradients: dict[str, Tensor]


def m_step(
    problem: Problem,
    masks: Tensor,
    learned: Learned,
    generator: torch.Generator,
    *,
    first_step: int,
    on_step: Callable[[int, Tensor], None],
) -> Generator[Ask, Answer, tuple[Learned, Tensor]]:
    """Make a round's updates under `masks` [N, K, G, G]; return what was learned and the losses [steps].

    What is learned is the mean of the rows after the last updates (Polyak and Juditsky 1992): each update sees a few
    samples, and its rows jitter with them. `on_step` gets the number of each finished update and its loss, still on the device.

    Raises:
        TrainingInputError: what was learned is no longer made of numbers.
    """
    config = problem.config.m_step
    total = problem.config.max_rounds * config.steps
    cell_masks = resize(masks, problem.observed.latent_size)
    shapes = shapes_of(problem, cell_masks)
    rows = {key: value.clone().requires_grad_() for key, value in learned.rows.items()}
    mean = {key: torch.zeros_like(value) for key, value in learned.rows.items()}
    first, second = dict(learned.first), dict(learned.second)
    losses = []
    unkept = first_step + config.steps - min(config.averaged, config.steps)
    for step in range(first_step, first_step + config.steps):
        batch = draw_batch(problem, cell_masks, generator, shape=shapes[step % len(shapes)])
        told = yield Ask(problem=problem, batch=batch, rows=rows)
        rate = config.learning_rate * (1 - (1 - config.final_rate) * step / max(1, total - 1))
        with torch.no_grad():
            scale = clip_scale(told.gradients, config.gradient_clip)
            for key, row in rows.items():
                update, first[key], second[key] = adam(
                    told.gradients[key] * scale, first[key], second[key], step + 1, config.betas
                )
                row.sub_(rate * update)
                if step >= unkept:
                    mean[key].lerp_(row, 1 / (step - unkept + 1))
        losses.append(told.loss)
        on_step(step + 1, losses[-1])
    if not all(bool(row.isfinite().all()) for row in mean.values()):
        raise diverged(first_step + config.steps)
    return Learned(rows=mean, first=first, second=second), torch.stack(losses)


def answered(asking: Generator[Ask, Answer, Result]) -> Result:
    """Run one training alone, every batch a pass of its own."""
    try:
        ask = next(asking)
        while True:
            ask = asking.send(answer((ask,))[0])
    except StopIteration as done:
        return done.value


def answer(asks: Sequence[Ask]) -> list[Answer]:
    """Loss and gradients of every batch, by one pass of the network that all of `asks` share."""
    losses = batch_losses(asks)
    leaves = [row for ask in asks for row in ask.rows.values()]
    found = iter(torch.autograd.grad(torch.stack(losses).sum(), leaves))
    gradients = [{key: next(found) for key in ask.rows} for ask in asks]
    return [Answer(loss=loss.detach(), gradients=each) for loss, each in zip(losses, gradients, strict=True)]


def batch_losses(asks: Sequence[Ask]) -> list[Tensor]:
    """The loss of each batch, with gradients into its rows; latents and layers read must be of one kind."""
    problem, batches = asks[0].problem, [ask.batch for ask in asks]
    backbone, layers = problem.backbone, problem.layers
    text = TextConditioning.join([encode_prompts(backbone, ask.batch.prompts, ask.rows) for ask in asks])
    given = ((batch.noisy, batch.timesteps, batch.places) for batch in batches)
    noisy, timesteps, places = (torch.cat(parts) for parts in zip(*given, strict=True))
    read = layers.cross if any(ask.problem.config.m_step.attention_weight for ask in asks) else ()
    with attention_capture(backbone.unet, read) as seen:
        predictions = backbone.predict(noisy, timesteps, text, places)
    sizes = [len(batch.noisy) for batch in batches]
    maps = seen.mean_map(read).split(sizes) if read else [None] * len(asks)
    return [_loss(*parts) for parts in zip(asks, predictions.split(sizes), maps, strict=True)]


def _loss(ask: Ask, prediction: Tensor, maps: Tensor | None) -> Tensor:
    """The objective: masked diffusion, attention to the right cells, nearness to the class word."""
    batch, config = ask.batch, ask.problem.config.m_step
    loss = masked_diffusion_loss(prediction, batch.target, batch.weights)
    if config.attention_weight and maps is not None:
        attended = (batch.columns @ maps.transpose(1, 2)).unflatten(-1, batch.masks.shape[-2:])
        shown = batch.columns.sum(dim=2) > 0
        loss = loss + config.attention_weight * attention_loss(attended, batch.masks, shown)
    if config.anchor_weight:
        origin = ask.problem.origin
        anchors = [anchor_loss(row, origin[key].to(row.device)) for key, row in ask.rows.items()]
        loss = loss + config.anchor_weight * torch.stack(anchors).mean()
    return loss


def clip_scale(gradients: Mapping[str, Tensor], limit: float) -> Tensor:
    """The factor that brings the gradients' joint norm to at most `limit`."""
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    return (limit / norm.clamp_min(1e-12)).clamp(max=1.0)


def adam(
    gradient: Tensor, first: Tensor, second: Tensor, step: int, betas: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """One Adam update (Kingma & Ba 2015, algorithm 1): direction and the two new moments."""
    first = betas[0] * first + (1 - betas[0]) * gradient
    second = betas[1] * second + (1 - betas[1]) * gradient.square()
    direction = (first / (1 - betas[0] ** step)) / ((second / (1 - betas[1] ** step)).sqrt() + ADAM_EPSILON)
    return direction, first, second


@torch.no_grad()
def evaluation_loss(problem: Problem, masks: Tensor, rows: Mapping[str, Tensor]) -> float:
    """The diffusion term on a fixed batch: every picture, all its labels, fixed noise at stratified levels (DVAR)."""
    backbone, scene, observed, config = problem.backbone, problem.scene, problem.observed, problem.config.m_step
    generator = torch.Generator().manual_seed(problem.config.seed + 1)
    count, total = problem.config.stop.evaluation_timesteps, backbone.train_timesteps
    levels = stratified(int(config.timestep_low * total), int(config.timestep_high * total) - 1, count)
    noise = torch.randn(count, *observed.mean.shape[2:], generator=generator).to(observed.mean)
    text = encode_prompts(backbone, full_prompts(scene, problem.compiler), rows)
    samples = [Sample(picture=n, flip=False, labels=scene.present(n), template="{}") for n in range(observed.count)]
    weights = sample_weights(scene, samples, resize(masks, observed.latent_size), config.background_weight)
    latents = observed.mean[0]
    losses = []
    for level, one in zip(levels, noise, strict=True):
        at, same = level.repeat(observed.count).to(latents.device), one.expand_as(latents)
        prediction = backbone.predict(backbone.add_noise(latents, same, at), at, text)
        losses.append(masked_diffusion_loss(prediction, backbone.target(latents, same, at), weights))
    return float(torch.stack(losses).mean())
