"""The frozen text-to-image network that concepts are taught to.

Stable Diffusion 1.x/2.x (epsilon and v-prediction) and SDXL classes. Every number (latent scale, sizes, prediction type)
comes from the network's configs. Nothing here trains; `trainer.loading` reads one from a folder, and prompts with
placeholders live in `trainer.em.prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor

from sdk.spec.digest import Digest


class BackboneFamily(StrEnum):
    """The two shapes of network that are supported."""

    SD = "stable-diffusion"  # one text encoder, last hidden state
    SDXL = "stable-diffusion-xl"  # two text encoders, second-to-last hidden states, pooled text and size conditions


@dataclass(frozen=True, kw_only=True)
class TextTower:
    """A tokenizer and its text encoder. `key` is the name that embedding files use for it."""

    key: str
    tokenizer: Any
    encoder: torch.nn.Module

    @property
    def width(self) -> int:
        return int(self.encoder.get_input_embeddings().weight.shape[1])

    @property
    def max_length(self) -> int:
        return int(self.encoder.config.max_position_embeddings)


@dataclass(frozen=True, kw_only=True)
class TextConditioning:
    """What the U-Net is told: `hidden` [B, L, D]; `pooled` [B, P] for SDXL only."""

    hidden: Tensor
    pooled: Tensor | None = None

    def select(self, index: Tensor) -> TextConditioning:
        """Rows `index` [B'] of each part."""
        return TextConditioning(hidden=self.hidden[index], pooled=None if self.pooled is None else self.pooled[index])

    @staticmethod
    def join(parts: Sequence[TextConditioning]) -> TextConditioning:
        """All rows of `parts`, one after another."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return TextConditioning(
            hidden=torch.cat([part.hidden for part in parts]), pooled=torch.cat(pooled) if pooled else None
        )


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network. No parameter requires a gradient; every module is in evaluation mode."""

    family: BackboneFamily
    towers: tuple[TextTower, ...]
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    noise_scheduler: DDPMScheduler
    directory: Path
    digest: Digest
    zero_empty_prompt: bool  # SDXL: the unconditional prompt is zeros

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype  # diffusers' own answer goes through all parameters

    @property
    def latent_size(self) -> int:
        """Side of the latent the network was trained on, cells."""
        return int(self.unet.config.sample_size)

    @property
    def cell(self) -> int:
        """Pixels a latent cell covers, along one side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def resolution(self) -> int:
        """Side of the pictures the network was trained on, pixels."""
        return self.latent_size * self.cell

    @property
    def latent_multiple(self) -> int:
        """What the sides of a latent are to be whole multiples of, cells: the network halves them so often."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def train_timesteps(self) -> int:
        return int(self.noise_scheduler.config.num_train_timesteps)

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [B, C, h, w] of the scaled latents of `pixels` [B, 3, H, W] in [-1, 1]."""
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels must be [B, 3, H, W], found {tuple(pixels.shape)}")
        with torch.no_grad():
            posterior = self.vae.encode(pixels.to(self.device, self.vae.dtype)).latent_dist
        shift = self.vae.config.get("shift_factor") or 0.0
        scale = float(self.vae.config.scaling_factor)
        return (posterior.mean.float() - shift) * scale, posterior.std.float() * scale

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Forward diffusion q(x_t | x_0), all [B, C, h, w] and `timesteps` [B]."""
        return self.noise_scheduler.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network is asked to predict: the noise, or the velocity (Salimans & Ho 2022)."""
        if self.noise_scheduler.config.prediction_type == "v_prediction":
            return self.noise_scheduler.get_velocity(latents, noise, timesteps)
        return noise

    def predict(self, noisy: Tensor, timesteps: Tensor, text: TextConditioning, places: Tensor | None = None) -> Tensor:
        """Run the U-Net on `noisy` [B, C, h, w] at `timesteps` [B]; the result is float32 of the same shape.

        `places` [B, 4] say what was cut from what, where it is not all of it: the whole's height and width, top and left, in cells.
        """
        added = None if text.pooled is None else {"text_embeds": text.pooled, "time_ids": self._time_ids(noisy, places)}
        result = self.unet(
            noisy.to(self.dtype),
            timesteps,
            encoder_hidden_states=text.hidden.to(self.dtype),
            added_cond_kwargs=added,
            return_dict=False,
        )
        return result[0].float()

    def encode_ids(self, ids: tuple[Tensor, ...]) -> TextConditioning:
        """Run the text encoders on `ids`, one [B, L] for each tower."""
        if self.family is BackboneFamily.SD:
            return TextConditioning(hidden=self.towers[0].encoder(ids[0].to(self.device)).last_hidden_state)
        outputs = [
            tower.encoder(tokens.to(self.device), output_hidden_states=True)
            for tower, tokens in zip(self.towers, ids, strict=True)
        ]
        hidden = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return TextConditioning(hidden=hidden, pooled=outputs[-1].text_embeds)

    def _time_ids(self, noisy: Tensor, places: Tensor | None) -> Tensor:
        """Original size, corner of the cut and target size of each sample, [B, 6], in pixels."""
        seen = torch.tensor(noisy.shape[2:], device=noisy.device).expand(len(noisy), -1)
        whole = torch.cat([seen, torch.zeros_like(seen)], dim=1) if places is None else places
        return (torch.cat([whole, seen], dim=1) * self.cell).to(self.dtype)
