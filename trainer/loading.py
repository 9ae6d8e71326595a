"""Loading the frozen network from a local folder in the ordinary diffusers layout, with safetensors weights.

Nothing here asks a model hub: a folder that lacks a piece is an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from sdk.errors import BackboneError, ConfigurationError
from sdk.generate.base_model import base_model_digest
from trainer.backbone import Backbone, BackboneFamily, TextTower


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
