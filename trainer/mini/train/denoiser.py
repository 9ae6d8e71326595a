"""The denoiser's training: text encoder and U-Net together, on cached latents, predicting v (Salimans & Ho 2022).

Min-SNR weighting (Hang et al. 2023) with a floor, so that the noisy steps that decide the layout keep their say;
half of the timesteps come from a normal around the preset's centre; EMA; captions dropped for classifier-free
guidance; a small attention-mask loss (`attention.py`); part of the captions carry pseudo-words (`pseudo_words.py`).
Batch `step` depends on (seed, step) only.
"""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from trainer.mini.corpus.captions import every_word
from trainer.mini.corpus.pictured import VIEWS, PicturedComposites
from trainer.mini.corpus.pool import CaptionedPictures
from trainer.mini.corpus.sources import read_bpe_merges
from trainer.mini.presets import DenoiserPreset, Preset
from trainer.mini.train.attention import captured_attention, mask_loss
from trainer.mini.train.checkpoint import average, load_checkpoint, save_checkpoint
from trainer.mini.train.latents import LatentPool, Sources, load_pool
from trainer.mini.train.pseudo_words import ViewEncoder, blurred, pseudo_words
from trainer.mini.train.tokenizer import build_tokenizer

_logger = logging.getLogger(__name__)
_SNR_WEIGHT_FLOOR = 0.2
_CHECKPOINT_SECONDS = 420
VIEWS_FIRST = 300  # steps of a warm start: the view encoder begins untrained, and its noise would unteach the others


class Denoiser(nn.Module):
    """Text encoder, U-Net and view encoder as one module, so that one optimiser and one average hold them all."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel, view_encoder: ViewEncoder) -> None:
        super().__init__()
        self.text_encoder, self.unet, self.view_encoder = text_encoder, unet, view_encoder


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The parts of a StableDiffusionPipeline."""

    vae: AutoencoderKL
    denoiser: Denoiser
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


def build_denoiser(preset: DenoiserPreset, tokenizer: CLIPTokenizer, *, latent_channels: int, side: int) -> Denoiser:
    """Untrained networks of the preset's shape."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=preset.text_width,
        intermediate_size=4 * preset.text_width,
        num_hidden_layers=preset.text_layers,
        num_attention_heads=preset.text_heads,
        max_position_embeddings=preset.text_length,
        projection_dim=preset.text_width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=preset.channels,
        down_block_types=("CrossAttnDownBlock2D",) * len(preset.channels),
        up_block_types=("CrossAttnUpBlock2D",) * len(preset.channels),
        layers_per_block=preset.layers,
        cross_attention_dim=preset.text_width,
        attention_head_dim=tuple(width // preset.head_dim for width in preset.channels),
        norm_num_groups=preset.groups,
    )
    return Denoiser(CLIPTextModel(text), unet, ViewEncoder(preset.word_vectors, preset.text_width))


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, predicting v."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def train_denoiser(
    preset: Preset,
    *,
    cache_dir: Path,
    run_dir: Path,
    device: torch.device,
    minutes: float | None = None,
    warm_start: Path | None = None,
    on_checkpoint: Callable[[BaseModel, int], None] | None = None,
) -> BaseModel:
    """Train to the preset's steps, or for `minutes` (0 only loads), resuming from `run_dir`; returns the average.

    Where `run_dir` has no training checkpoint yet, a pipeline at `warm_start` gives the first weights.
    """
    mine = preset.denoiser
    vae = AutoencoderKL.from_pretrained(run_dir / "vae", local_files_only=True).to(device).eval()
    tokenizer = build_tokenizer(read_bpe_merges(cache_dir), every_word(), mine.text_length)
    sources = Sources(
        named=CaptionedPictures(preset.corpus, cache_dir, mine.seed),
        seen=PicturedComposites(preset.corpus, cache_dir, mine.seed, mine.word_vectors),
        count=mine.pool,
        pictured=mine.pictured,
    )
    pool = load_pool(run_dir / "pool.safetensors", sources, vae, tokenizer, device)
    torch.manual_seed(mine.seed)
    side = pool.latents.shape[-1]
    network = build_denoiser(mine, tokenizer, latent_channels=pool.latents.shape[1], side=side).to(device)
    if warm_start is not None:
        _take_weights(network, warm_start)
    network.unet.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=mine.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    networks = {"network": network, "ema": ema}
    first = load_checkpoint(run_dir / "denoiser.safetensors", networks=networks, optimizer=optimizer)
    scheduler = build_scheduler()
    model = BaseModel(vae=vae, denoiser=ema, tokenizer=tokenizer, scheduler=scheduler)
    if minutes == 0:
        return model
    started = saved = time.monotonic()
    for step in range(first, mine.steps):
        spent = (time.monotonic() - started) / 60
        progress = max((step + 1) / mine.steps, spent / minutes if minutes else 0.0)
        phase_step = _phase_step(network, step, warm=warm_start is not None)
        for group in optimizer.param_groups:
            group["lr"] = mine.learning_rate * _schedule(phase_step, progress, mine.hold)
        batch = _draw_batch(pool, tokenizer, scheduler, mine, step, device)
        parts = _step(network, optimizer, batch, mine, queries=side * side)
        average(ema, network, decay=mine.ema, step=step)
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) * mine.batch / (time.monotonic() - started)
            _logger.info("unet step %d loss %.4f mask %.3f, %.1f samples/s", step + 1, *parts, rate)
        if progress >= 1 or time.monotonic() - saved > _CHECKPOINT_SECONDS:
            saved = time.monotonic()
            save_checkpoint(run_dir / "denoiser.safetensors", step=step + 1, networks=networks, optimizer=optimizer)
            if on_checkpoint is not None:
                on_checkpoint(model, step + 1)
        if progress >= 1:
            break
    return model


def _take_weights(network: Denoiser, pipeline_dir: Path) -> None:
    """Copy the networks of an exported pipeline of the same shape."""
    unet = UNet2DConditionModel.from_pretrained(pipeline_dir / "unet", local_files_only=True)
    text_encoder = CLIPTextModel.from_pretrained(pipeline_dir / "text_encoder", local_files_only=True)
    network.unet.load_state_dict(unet.state_dict())
    network.text_encoder.load_state_dict(text_encoder.state_dict())


def _phase_step(network: Denoiser, step: int, *, warm: bool) -> int:
    """The step's number in its phase: in the first of a warm start the view encoder learns alone."""
    whole = not warm or step >= VIEWS_FIRST
    network.text_encoder.requires_grad_(whole)
    network.unet.requires_grad_(whole)
    return step - VIEWS_FIRST if warm and whole else step


@dataclass(frozen=True, kw_only=True)
class _Batch:
    noisy: Tensor
    target: Tensor
    weight: Tensor
    timesteps: Tensor
    tokens: Tensor
    words: Tensor
    masks: Tensor
    slots: Tensor
    views: Tensor
    noise: Tensor


def _draw_batch(
    pool: LatentPool,
    tokenizer: CLIPTokenizer,
    scheduler: DDIMScheduler,
    preset: DenoiserPreset,
    step: int,
    device: torch.device,
) -> _Batch:
    rng = np.random.default_rng((preset.seed, step))
    generator = torch.Generator().manual_seed(preset.seed * 1_000_003 + step)
    rows = torch.from_numpy(rng.integers(len(pool.latents), size=preset.batch))
    centred = rng.normal(preset.centre_timestep, preset.timestep_spread, preset.batch)
    chosen = np.where(rng.random(preset.batch) < 0.5, centred, rng.uniform(0, 1000, preset.batch))
    timesteps = torch.from_numpy(np.clip(chosen, 0, 999).astype(np.int64))
    clean = pool.latents[rows].float()
    noise = torch.randn(clean.shape, generator=generator)
    tokens, words = pool.tokens[rows].long(), pool.words[rows]
    dropped = torch.from_numpy(rng.random(preset.batch) < preset.dropout)
    empty = torch.tensor([tokenizer.bos_token_id] + [tokenizer.eos_token_id] * (tokens.shape[1] - 1))
    tokens, words = torch.where(dropped[:, None], empty, tokens), words * ~dropped[:, None, None]
    kept = scheduler.alphas_cumprod[timesteps]
    snr = kept / (1 - kept)
    return _Batch(
        noisy=scheduler.add_noise(clean, noise, timesteps).to(device).contiguous(memory_format=torch.channels_last),
        target=scheduler.get_velocity(clean, noise, timesteps).to(device),
        weight=(snr.clamp(max=preset.min_snr) / (snr + 1)).clamp(min=_SNR_WEIGHT_FLOOR).to(device),
        timesteps=timesteps.to(device),
        tokens=tokens.to(device),
        words=words.to(device),
        masks=pool.masks[rows].to(device),
        slots=torch.where(dropped[:, None], -1, pool.slots[rows]).to(device),
        views=(pool.views[rows].permute(0, 1, 4, 2, 3) / 127.5 - 1).to(device),
        noise=torch.randn((preset.batch, VIEWS, preset.word_vectors, preset.text_width), generator=generator).to(
            device
        ),
    )


def _step(
    network: Denoiser, optimizer: torch.optim.Optimizer, batch: _Batch, preset: DenoiserPreset, *, queries: int
) -> tuple[float, float]:
    with (
        captured_attention(network.unet, queries=queries) as maps,
        torch.autocast(batch.noisy.device.type, torch.bfloat16),
    ):
        offsets = network.view_encoder(batch.views.flatten(0, 1)).unflatten(0, batch.views.shape[:2])
        carried = blurred(offsets, batch.noise).flatten(1, 2)
        with pseudo_words(network.text_encoder, batch.slots, carried):
            context = network.text_encoder(batch.tokens).last_hidden_state
        made = network.unet(batch.noisy, batch.timesteps, context).sample
    error = (made.float() - batch.target).square().mean((1, 2, 3))
    denoising = (batch.weight * error).mean()
    located = mask_loss(maps, batch.words, batch.masks)
    optimizer.zero_grad(set_to_none=True)
    (denoising + preset.mask_weight * located).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return denoising.item(), located.item()


def _schedule(step: int, progress: float, hold: float) -> float:
    """Warm-up over 100 steps, flat for `hold` of the run, then a cosine to 2 %."""
    rest = max(0.0, (min(progress, 1.0) - hold) / (1 - hold))
    return min(1.0, (step + 1) / 100) * float(0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * rest)))
