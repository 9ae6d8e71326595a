"""The frozen text-to-image network that concepts are taught to, loaded from a local folder.

Stable Diffusion 1.x/2.x (epsilon and v-prediction) and SDXL classes in the ordinary diffusers layout. Every number
(latent scale, sizes, prediction type) comes from the folder's configs. Nothing here trains, and nothing here asks a
model hub: a folder that lacks a piece is an error. Prompts with placeholders live in `trainer.em.prompts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from sdk.errors import BackboneError, ConfigurationError
from sdk.generate.base_model import base_model_digest
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


def choose_device(wanted: str) -> torch.device:
    """The device that `[trainer] device` names; "auto" is a GPU where there is one. Raises `ConfigurationError`."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as exc:
        raise ConfigurationError(f"[trainer] device {wanted!r} is none; write 'auto', 'cpu' or 'cuda'") from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"[trainer] device is {wanted!r}, but no GPU can be used here; write 'auto' or 'cpu'")
    return device


def load_backbone(
    directory: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Backbone:
    """Load and freeze the network in `directory`, a diffusers pipeline folder with safetensors weights.

    Raises:
        BackboneError: the folder is missing, incomplete, or not of a supported class; the message says which part.
    """
    directory = Path(directory)
    index = _read_index(directory)
    family = _family(directory, index)
    digest = base_model_digest(directory)
    with _quiet():
        towers = [_load_tower(directory, "", "clip_l", CLIPTextModel, dtype)]
        if family is BackboneFamily.SDXL:
            towers.append(_load_tower(directory, "_2", "clip_g", CLIPTextModelWithProjection, dtype))
        backbone = Backbone(
            family=family,
            towers=tuple(towers),
            unet=_load_part(directory, "unet", UNet2DConditionModel, torch_dtype=dtype, low_cpu_mem_usage=False),
            vae=_load_part(directory, "vae", AutoencoderKL, torch_dtype=dtype, low_cpu_mem_usage=False),
            noise_scheduler=_load_scheduler(directory),
            directory=directory,
            digest=digest,
            zero_empty_prompt=family is BackboneFamily.SDXL and bool(index.get("force_zeros_for_empty_prompt", True)),
        )
    for module in (backbone.unet, backbone.vae, *(tower.encoder for tower in towers)):
        module.requires_grad_(False).eval().to(device)
    _check_fit(backbone)
    return backbone


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading prints bars of its own; ours are the caller's."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _read_index(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise BackboneError(f"base model {directory} is not a folder; give the path of a diffusers pipeline folder")
    path = directory / "model_index.json"
    try:
        index = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise BackboneError(
            f"{directory} has no model_index.json, so it is not a diffusers pipeline folder; "
            "convert a single-file model with diffusers first"
        ) from exc
    except (ValueError, OSError) as exc:
        raise BackboneError(f"{path} cannot be read as JSON: {exc}") from exc
    if not isinstance(index, dict):
        raise BackboneError(f"{path} should hold a JSON object")
    return index


def _family(directory: Path, index: dict[str, Any]) -> BackboneFamily:
    families = {"StableDiffusionPipeline": BackboneFamily.SD, "StableDiffusionXLPipeline": BackboneFamily.SDXL}
    found = index.get("_class_name")
    if found not in families:
        raise BackboneError(f"{directory} holds a {found}; expected one of {', '.join(sorted(families))}")
    return families[found]


def _load_part(directory: Path, part: str, kind: Any, **options: Any) -> Any:
    folder = directory / part
    if not folder.is_dir():
        raise BackboneError(f"{directory} lacks the folder {part}/; copy the whole pipeline folder")
    if kind not in (CLIPTokenizer, DDPMScheduler):
        options["use_safetensors"] = True
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as exc:
        raise BackboneError(f"{folder} cannot be loaded as {kind.__name__}: {_first_line(exc)}") from exc


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__


def _load_tower(directory: Path, suffix: str, key: str, kind: Any, dtype: torch.dtype) -> TextTower:
    return TextTower(
        key=key,
        tokenizer=_load_part(directory, f"tokenizer{suffix}", CLIPTokenizer),
        encoder=_load_part(directory, f"text_encoder{suffix}", kind, dtype=dtype),
    )


def _load_scheduler(directory: Path) -> DDPMScheduler:
    scheduler = _load_part(directory, "scheduler", DDPMScheduler)
    if scheduler.config.prediction_type not in ("epsilon", "v_prediction"):
        found = scheduler.config.prediction_type
        raise BackboneError(f"{directory}/scheduler predicts {found!r}; expected epsilon or v_prediction")
    return scheduler


def _check_fit(backbone: Backbone) -> None:
    text_width = sum(int(tower.encoder.config.hidden_size) for tower in backbone.towers)
    expected = backbone.unet.config.cross_attention_dim
    if isinstance(expected, int) and expected != text_width:
        raise BackboneError(
            f"{backbone.directory}: the U-Net expects text of width {expected}, the text encoders give {text_width}"
        )
    if backbone.unet.config.in_channels != backbone.vae.config.latent_channels:
        raise BackboneError(
            f"{backbone.directory}: the U-Net takes {backbone.unet.config.in_channels} latent channels, "
            f"the VAE gives {backbone.vae.config.latent_channels} (inpainting networks are not supported)"
        )
