"""Break-A-Scene (Avrahami et al., arXiv 2305.16311): masks are given, tokens first, then the whole network.

Section 3: union sampling of subsets, masked diffusion loss (equation 1), squared cross-attention loss of weight 0.01
(equation 3), prior preservation of weight 1. Published: 400 updates at 5e-4 of the tokens, then 400 at 2e-6 of U-Net
and text encoder, batch 1. Where the masks come from is the caller's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.concepts.baselines.training import (
    Words,
    draw_batch,
    lay_out,
    prior_loss,
    shown_specs,
    started_rows,
    tokens_of,
    train,
    trained_in_place,
)
from benchmarks.concepts.learned import Learned, Rows
from benchmarks.concepts.task import Outcome, Settings, Task
from trainer.data import ConceptSpec
from trainer.em.attention import attention_capture, choose_layers, list_layers
from trainer.em.latents import resize
from trainer.em.prompts import CompiledPrompt, encode_prompts

PUBLISHED = Settings(steps=400, learning_rate=5e-4, batch_size=1, network_rate=2e-6, prior_pictures=100)
SWEEP = (
    Settings(steps=200, learning_rate=1e-2, batch_size=1, network_rate=2e-6, prior_pictures=100),
    Settings(steps=200, learning_rate=1e-2, batch_size=2, network_rate=3e-5, prior_pictures=100),
    Settings(steps=400, learning_rate=5e-3, batch_size=1, network_rate=1e-5, prior_pictures=100),
)
ATTENTION_WEIGHT = 0.01
MAP_SIDE = 16  # cells of the cross-attention maps that the loss reads


def learn(task: Task, settings: Settings, masks: Tensor) -> Outcome:
    """Both phases under `masks` uint8 [N, S, S], the position of the concept that each pixel shows."""
    generator = torch.Generator().manual_seed(task.seed)
    words, first = lay_out(task, started_rows(task))
    table = {key: rows.requires_grad_() for key, rows in first.items()}
    tokens = list(table.values())

    def loss() -> Tensor:
        return scene_loss(task, words, table, masks, settings.batch_size, generator)

    seconds = train([(tokens, settings.learning_rate)], settings.steps, loss)
    with trained_in_place(task.backbone, lambda name: "embedding" not in name) as (network, changes):
        seconds += train(
            [(network, settings.network_rate), (tokens, settings.network_rate)],
            settings.steps,
            lambda: loss() + prior_loss(task, words, table, settings, generator),
        )
    learned = Learned(tokens=tokens_of(words, table), changes={name: (change,) for name, change in changes.items()})
    return Outcome(learned=learned, steps=2 * settings.steps, step_seconds=seconds, given_masks=True)


def scene_loss(task: Task, words: Words, table: Rows, masks: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Masked diffusion loss and attention loss on a batch of unions."""
    backbone = task.backbone
    batch = draw_batch(task, size, generator)
    chosen = [draw_union(shown_specs(task, picture), generator) for picture in batch.pictures]
    prompts = [words.prompt(specs) for specs in chosen]
    layers = choose_layers(list_layers(backbone.unet, batch.noisy.shape[-1], kind="attn2"), MAP_SIDE)
    names = [layer.name for layer in layers]
    with attention_capture(backbone.unet, names) as seen:
        prediction = backbone.predict(batch.noisy, batch.timesteps, encode_prompts(backbone, prompts, table))
    own = [
        concept_masks(task, masks[picture], specs, flip).to(prediction)
        for picture, specs, flip in zip(batch.pictures, chosen, batch.flips, strict=True)
    ]
    union = torch.stack([resize(one.amax(dim=0)[None, None], prediction.shape[-1])[0] for one in own])  # [B, 1, h, w]
    loss = functional.mse_loss(prediction * union, batch.target.float() * union)
    maps = seen.mean_map(names).transpose(1, 2)  # [B, L, m * m]
    apart = [map_error(maps[at], words, prompts[at], specs, own[at], layers[0].size) for at, specs in enumerate(chosen)]
    return loss + ATTENTION_WEIGHT * torch.stack(apart).mean()


def draw_union(specs: list[ConceptSpec], generator: torch.Generator) -> list[ConceptSpec]:
    """A random subset that is not empty, its size uniform, in the scene's order."""
    size = int(torch.randint(1, len(specs) + 1, (), generator=generator))
    return [specs[at] for at in sorted(torch.randperm(len(specs), generator=generator)[:size].tolist())]


def concept_masks(task: Task, owner: Tensor, specs: list[ConceptSpec], flip: bool) -> Tensor:
    """Masks [K, S, S] of `specs` in one picture, as floats."""
    names = [spec.name for spec in task.scene.concepts]
    stacked = torch.stack([owner == names.index(spec.name) for spec in specs]).float()
    return stacked.flip(-1) if flip else stacked


def map_error(
    maps: Tensor, words: Words, prompt: CompiledPrompt, specs: list[ConceptSpec], masks: Tensor, side: int
) -> Tensor:
    """Mean squared difference of each concept's attention map, scaled to a peak of 1, and its mask."""
    wanted = resize(masks[None], side)[0].flatten(1)  # [K, m * m]
    errors = []
    for spec, mask in zip(specs, wanted, strict=True):
        own = set(words.slots[spec.name].rows)
        columns = [column for column, row in zip(prompt.columns, prompt.rows, strict=True) if row in own]
        attended = maps[columns].mean(dim=0)
        errors.append(functional.mse_loss(attended / attended.max().clamp_min(1e-8), mask))
    return torch.stack(errors).mean()
