"""The E-step: where is each concept, given the embeddings so far.

Rahman et al. (arXiv 2402.11487), section 3: masks come from the U-Net's cross-attention and are smoothed by a dense
CRF. Read here: real latents at stratified noise levels, fixed noise, no gradients, the pass ended after the last
layer that is read; maps averaged over heads, layers and noise levels, carried along self-attention that is finer than
they are (as AttenCraft does), scaled, turned into a posterior over {concepts present, background}, put to the vote of the other pictures
(`appearance`), refined by the picture's colours.
Whether a new mask is believed is not decided here but in `guards`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.backbone import Backbone
from trainer.em.appearance import Votes
from trainer.em.attention import Layers, attention_capture, plan_layers
from trainer.em.config import CRFConfig, EStepConfig
from trainer.em.crf import DenseCRF
from trainer.em.latents import Observed, resize
from trainer.em.prompts import CompiledPrompt, PromptCompiler, encode_prompts
from trainer.em.scene import Scene, label_columns, picture_prompt

E_STEP_TEMPLATE = "a photo of {}"
NOBODY = 255  # in a map of winning labels: a cell that no label won


@dataclass(frozen=True, kw_only=True)
class MaskEstimate:
    """`maps` [N, K, m, m]: raw attention a label's tokens got; `heard` [N, K, G, G]: what it alone says, and
    `posterior` [N, K, G, G], both summing to 1 over labels."""

    maps: Tensor
    heard: Tensor
    posterior: Tensor


def read_layers(backbone: Backbone, latent_size: int, config: EStepConfig) -> Layers:
    """The layers an E-step reads."""
    return plan_layers(backbone.unet, latent_size, map_size=config.map_size, self_map_size=config.self_map_size)


def plan_crf(observed: Observed, config: CRFConfig) -> DenseCRF:
    """The field over the pictures' colours, built once: a picture's colours never change."""
    return DenseCRF(
        observed.colours,
        iterations=config.iterations,
        appearance_weight=config.appearance_weight,
        appearance_distance=config.appearance_distance,
        appearance_colour=config.appearance_colour,
        smoothness_weight=config.smoothness_weight,
        smoothness_distance=config.smoothness_distance,
    )


def e_step(
    backbone: Backbone,
    scene: Scene,
    observed: Observed,
    rows: Mapping[str, Tensor],
    compiler: PromptCompiler,
    config: EStepConfig,
    votes: Votes,
    crf: DenseCRF,
    *,
    seed: int,
    said: Tensor | None = None,
) -> MaskEstimate:
    """Estimate the masks of every picture under the embeddings `rows`. Equal arguments give equal masks.

    `said` [N, K, G, G] is what the class words' attention said, a prior that stays: what tokens learned under a wrong
    mask cannot talk everybody into it.
    """
    carrying = carrying_layers(read_layers(backbone, observed.latent_size, config), config)
    maps, own = attention_maps(backbone, scene, observed, rows, compiler, config, carrying, seed=seed)
    carried = propagate(maps, own, config.propagation_power)
    backgrounds = torch.tensor(scene.backgrounds, device=maps.device)
    presence = scene.presence.to(maps.device)
    heard = label_posterior(resize(carried, observed.grid), presence, backgrounds, config.sharpness)
    prior = heard if said is None else agreement(heard, said, config.word_weight)
    return refine(heard, prior, maps, observed, votes, crf)


def carrying_layers(layers: Layers, config: EStepConfig) -> tuple[str, ...]:
    """The self-attention that maps are carried along: what is finer than they are. What is as coarse would only blur them."""
    return layers.own if config.propagation_power and layers.self_size > layers.size else ()


def agreement(heard: Tensor, said: Tensor, weight: float) -> Tensor:
    """The normalised product of two posteriors [N, K, H, W], the second to the power `weight`."""
    product = heard * said.clamp_min(1e-6) ** weight
    return product / product.sum(dim=1, keepdim=True).clamp_min(1e-12)


def refine(heard: Tensor, prior: Tensor, maps: Tensor, observed: Observed, votes: Votes, crf: DenseCRF) -> MaskEstimate:
    """Let the pictures vote on the `prior` [N, K, G, G] and smooth it by their colours, around masks the user gave."""
    voted = votes(impose_given(prior, observed))
    posterior = impose_given(crf(impose_given(voted, observed)), observed)
    return MaskEstimate(maps=maps, heard=heard, posterior=leave_undrawn(posterior, heard, observed))


@torch.no_grad()
def attention_maps(
    backbone: Backbone,
    scene: Scene,
    observed: Observed,
    rows: Mapping[str, Tensor],
    compiler: PromptCompiler,
    config: EStepConfig,
    read_own: Sequence[str],
    *,
    seed: int,
) -> tuple[Tensor, Tensor | None]:
    """Return cross-attention [N, K, m, m] by label, and self-attention [N, M * M, M * M] of the layers `read_own`, if any.

    Both are means over heads, layers and noise levels.
    """
    layers = read_layers(backbone, observed.latent_size, config)
    prompts, asked = turned_prompts(scene, compiler, config.timesteps)
    text = encode_prompts(backbone, prompts, rows)
    shown = [picture for picture in range(observed.count) for _ in range(len(prompts) // observed.count)]
    columns = label_columns(scene, shown, prompts).to(backbone.device)  # [P, K, L]
    noisy, timesteps, owners = _fixed_noise(backbone, observed, config, seed)
    count, labels = scene.presence.shape
    maps = torch.zeros(count, labels, layers.size**2, device=noisy.device)
    own = torch.zeros(count, layers.self_size**2, layers.self_size**2, device=noisy.device) if read_own else None
    for part in torch.arange(len(owners)).split(config.batch_size):
        owner, prompt = owners[part].to(noisy.device), asked[part].to(noisy.device)
        with attention_capture(backbone.unet, (*layers.cross, *read_own), stop_after_last=True) as seen:
            backbone.predict(noisy[part], timesteps[part], text.select(prompt))
        attended = seen.mean_map(layers.cross)  # [b, m * m, L]
        maps.index_add_(0, owner, columns[prompt] @ attended.transpose(1, 2) / config.timesteps)
        if own is not None:
            own.index_add_(0, owner, seen.mean_map(read_own) / config.timesteps)
    return maps.unflatten(-1, (layers.size, layers.size)), own


def full_prompts(scene: Scene, compiler: PromptCompiler, turn: int = 0) -> list[CompiledPrompt]:
    """The prompt of each picture that shows every label in it, its things `turn` places on."""
    texts = (
        picture_prompt(scene, n, turned(scene, scene.present(n), turn), E_STEP_TEMPLATE)
        for n in range(len(scene.pictures))
    )
    return [compiler.compile(text) for text in texts]


def turned_prompts(scene: Scene, compiler: PromptCompiler, timesteps: int) -> tuple[list[CompiledPrompt], Tensor]:
    """Prompts that name the things of each picture in every order of turning, and which one [N * T] a noised latent has.

    Networks tend to look for what a prompt names first at the left; noise levels take turns at the orders, so that a
    map says where a thing is and not where its name stands.
    """
    subjects = scene.presence[:, ~torch.tensor(scene.backgrounds)].sum(dim=1)
    turns = max(1, min(timesteps, int(subjects.max())))
    by_turn = [full_prompts(scene, compiler, turn) for turn in range(turns)]
    prompts = [by_turn[turn][picture] for picture in range(len(scene.pictures)) for turn in range(turns)]
    asked = [picture * turns + level % turns for picture in range(len(scene.pictures)) for level in range(timesteps)]
    return prompts, torch.tensor(asked)


def turned(scene: Scene, labels: tuple[int, ...], turn: int) -> tuple[int, ...]:
    """`labels` with the things among them from the one `turn` places on, around; places stay last."""
    things = [label for label in labels if not scene.backgrounds[label]]
    start = turn % max(1, len(things))
    return (*things[start:], *things[:start], *(label for label in labels if scene.backgrounds[label]))


def _fixed_noise(
    backbone: Backbone, observed: Observed, config: EStepConfig, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Every picture at every noise level with the same noise each round: latents [N * T, ...], t, owner [N * T]."""
    generator = torch.Generator().manual_seed(seed)
    last = backbone.train_timesteps - 1
    low, high = min(config.timestep_low, last), min(config.timestep_high, last)
    levels = stratified(low, high, config.timesteps)
    clean = observed.mean[0]  # [N, C, h, w]
    noise = torch.randn(config.timesteps, *clean.shape[1:], generator=generator).to(clean)
    timesteps = levels.repeat(observed.count).to(clean.device)
    owners = torch.arange(observed.count).repeat_interleave(config.timesteps)
    noisy = backbone.add_noise(clean[owners.to(clean.device)], noise.repeat(observed.count, 1, 1, 1), timesteps)
    return noisy, timesteps, owners


def stratified(low: int, high: int, count: int) -> Tensor:
    """The middles of `count` equal strata of [low, high], int64."""
    width = (high - low) / count
    return torch.tensor([round(low + width * (i + 0.5)) for i in range(count)], dtype=torch.long)


def propagate(maps: Tensor, own: Tensor | None, power: int) -> Tensor:
    """Carry `maps` [N, K, m, m] along self-attention `own` [N, M * M, M * M] `power` times; [N, K, max(m, M), ...]."""
    if own is None or power == 0:
        return maps
    side = int(own.shape[-1] ** 0.5)
    flat = resize(maps, side).flatten(2)  # [N, K, M * M]
    for _ in range(power):
        flat = flat @ own.transpose(1, 2)  # cell i gathers what the cells it attends to have
    return flat.unflatten(-1, (side, side))


def label_posterior(maps: Tensor, presence: Tensor, backgrounds: Tensor, sharpness: float) -> Tensor:
    """Softmax over present labels of `maps` [N, K, H, W], each scaled to [0, 1] in its picture; absent labels get 0.

    A background's score is half its own attention, half the room that the others in `presence` [N, K] leave. Words for
    places draw little attention, and noise stretched to full scale would claim a subject; so the attention of
    `backgrounds` [K] is never scaled up beyond twice what the most attended label in the picture needs.
    """
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    absent, behind = ~presence[:, :, None, None], backgrounds[None, :, None, None]
    span = (high - low).masked_fill(absent, 0.0)
    span = torch.where(behind, span.clamp_min(span.amax(dim=1, keepdim=True) / 2), span)
    scaled = (maps - low) / span.clamp_min(1e-12)
    claimed = scaled.masked_fill(absent | behind, 0.0).amax(dim=1, keepdim=True)
    score = torch.where(behind, (scaled + 1 - claimed) / 2, scaled)
    return (sharpness * score).masked_fill(absent, float("-inf")).softmax(dim=1)


def impose_given(posterior: Tensor, observed: Observed) -> Tensor:
    """Put the user's masks in, and share the rest of each cell among the other labels in their old proportion."""
    if not observed.is_given.any():
        return posterior
    fixed = observed.is_given[:, :, None, None]
    given = torch.where(fixed, observed.given, 0.0)
    given = given / given.sum(dim=1, keepdim=True).clamp_min(1.0)  # where given masks overlap, they share
    room = 1 - given.sum(dim=1, keepdim=True)
    others = torch.where(fixed, 0.0, posterior)
    share = others.sum(dim=1, keepdim=True)
    result = given + others / share.clamp_min(1e-12) * room
    return torch.where(share + given.sum(dim=1, keepdim=True) > 0, result, posterior)


def leave_undrawn(posterior: Tensor, heard: Tensor, observed: Observed) -> Tensor:
    """Where the user drew every label of a picture that was `heard`, what no mask covers is in none of them."""
    if not observed.is_given.any():
        return posterior
    present = heard.amax(dim=(2, 3)) > 0  # [N, K]
    learned = (present & ~observed.is_given).any(dim=1)[:, None, None, None]
    drawn = torch.where(observed.is_given[:, :, None, None], observed.given, 0.0).sum(dim=1, keepdim=True) > 0
    return torch.where(learned | drawn, posterior, 0.0)


def leakage(maps: Tensor, posterior: Tensor, presence: Tensor) -> Tensor:
    """[K, K]: of the attention that label a's tokens get, the share inside label b's mask, mean over pictures.

    Rows sum to 1 (zero for a label in no picture). The diagonal is what stays where it belongs.
    """
    size = maps.shape[-1]
    masks = resize(posterior, size).flatten(2)  # [N, K, m * m]
    mass = maps.flatten(2)
    share = mass @ masks.transpose(1, 2) / mass.sum(dim=2, keepdim=True).clamp_min(1e-12)  # [N, K, K]
    pairs = presence[:, :, None] & presence[:, None, :]
    total = (share * pairs).sum(dim=0) / presence.sum(dim=0).clamp_min(1)[:, None]
    return total / total.sum(dim=1, keepdim=True).clamp_min(1e-12)


def winners(posterior: Tensor) -> Tensor:
    """The most probable label of each cell, uint8 [N, H, W]; `NOBODY` where several are equally probable, or none is."""
    most, best = posterior.max(dim=1)
    tied = (posterior == most[:, None]).sum(dim=1) > 1
    return best.masked_fill(tied | (most <= 0), NOBODY).to(torch.uint8)


def harden(posterior: Tensor) -> Tensor:
    """Masks [N, K, H, W] of the winning label in each cell, 0 or 1; a cell that nobody wins is in none."""
    labels = torch.arange(posterior.shape[1], device=posterior.device)
    return (winners(posterior)[:, None] == labels[:, None, None]).to(posterior)
