"""Sixty steps of the U-Net on one learned concept: what the base draws once it may move a little.

The same masked objective as the M-step, its rows now fixed, on the pictures and on rearranged copies of them; a third of
every batch is replayed from the corpus, so that the network keeps the rest of what it knew (prior preservation,
DreamBooth, arXiv 2208.12242). The product never does
this: its backbone is frozen. The model card shows it beside tokens alone, to tell what limits a picture.
"""

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from trainer.backbone import Backbone, TextConditioning
from trainer.data import TrainingSet
from trainer.em.adapters import concept_loss
from trainer.em.config import EMConfig, MStepConfig
from trainer.em.e_step import harden
from trainer.em.latents import resize
from trainer.em.problem import prepare
from trainer.em.prompts import PromptCompiler
from trainer.em.rearrange import with_rearranged
from trainer.em.state import EMState
from trainer.mini.corpus.pool import CaptionedPictures

STEPS, WARM_UP, COOL_DOWN, LEARNING_RATE, CLIP = 60, 5, 15, 1e-3, 1.0
BATCH, REPLAYED = 16, 8  # samples of the concept, and of the corpus, a step
COPIES = 3  # rearranged copies of each picture: four pictures alone would be learned by heart
LEAST_NOISE = 0.15  # of the noise levels: below, pictures differ in texture, and a shape is what is missing


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Clean latents [n, C, h, w] of corpus pictures and what their captions say."""

    latents: Tensor
    text: TextConditioning


@torch.no_grad()
def encode_replay(backbone: Backbone, pictures: CaptionedPictures, count: int = 192) -> Replay:
    """The first `count` pictures of the corpus."""
    items = [pictures.item(index) for index in range(count)]
    pixels = torch.from_numpy(np.stack([item.composite.picture for item in items])).permute(0, 3, 1, 2)
    compiler = PromptCompiler(backbone.towers)
    ids = [compiler.compile((item.caption.text,)).ids for item in items]
    towers = tuple(torch.tensor(part) for part in zip(*ids, strict=True))
    latents, _deviation = backbone.encode_pictures(pixels / 127.5 - 1)
    return Replay(latents=latents, text=backbone.encode_ids(towers))


def tuned(backbone: Backbone, training: TrainingSet, state: EMState, replay: Replay, seed: int) -> UNet2DConditionModel:
    """A copy of the U-Net, tuned; `backbone` stays as it was."""
    generator = torch.Generator().manual_seed(seed)
    unet = copy.deepcopy(backbone.unet).requires_grad_(True)
    config = EMConfig(seed=seed, m_step=MStepConfig(batch_size=BATCH, timestep_low=LEAST_NOISE))
    problem = prepare(dataclasses.replace(backbone, unet=unet), training, config)
    scene, observed, masks = with_rearranged(
        problem.backbone, problem.scene, problem.observed, harden(state.posterior), COPIES, generator
    )
    problem = dataclasses.replace(problem, scene=scene, observed=observed)
    cell_masks = resize(masks, observed.latent_size)
    optimizer = torch.optim.AdamW(unet.parameters(), weight_decay=0.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = concept_loss(problem, state.rows, cell_masks, generator)
        loss = loss + _replay_loss(problem.backbone, replay, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), CLIP)
        optimizer.step()
    return unet.requires_grad_(False)


def rate(step: int) -> float:
    """The learning rate of a step: up in `WARM_UP` steps, flat, down in the last `COOL_DOWN`."""
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, (STEPS - step) / COOL_DOWN)


def _replay_loss(backbone: Backbone, replay: Replay, generator: torch.Generator) -> Tensor:
    chosen = torch.randint(len(replay.latents), (REPLAYED,), generator=generator)
    levels = torch.randint(backbone.train_timesteps, (REPLAYED,), generator=generator)
    latents = replay.latents[chosen]
    noise = torch.randn(latents.shape, generator=generator)
    made = backbone.predict(backbone.add_noise(latents, noise, levels), levels, replay.text.select(chosen))
    return functional.mse_loss(made, backbone.target(latents, noise, levels))
