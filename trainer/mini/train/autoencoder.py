"""The autoencoder's training: AutoencoderKL on composites of every sprite, held-out names never among them.

Loss: object-weighted L1 + L2 + L1 of the picture's gradient, and a tiny KL term. `encode_pictures` makes the latents
that the denoiser trains on. Sampling noise comes from generators on the CPU, seeded by the step.
"""

import copy
import logging
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from trainer.mini.corpus.compose import compose, crop_scene, place_objects
from trainer.mini.corpus.photos import crop_photo, load_photos
from trainer.mini.corpus.scenes import SCENES, paint_bank
from trainer.mini.corpus.sprites import SpriteBank, load_bank
from trainer.mini.presets import AutoencoderPreset, CorpusPreset, Preset
from trainer.mini.train.checkpoint import average, load_checkpoint, save_checkpoint

_logger = logging.getLogger(__name__)


def build_autoencoder(preset: AutoencoderPreset, size: int) -> AutoencoderKL:
    """An untrained AutoencoderKL of the preset's shape."""
    depth = len(preset.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=preset.channels,
        layers_per_block=preset.layers,
        latent_channels=preset.latent_channels,
        norm_num_groups=preset.groups,
        sample_size=size,
        mid_block_add_attention=False,
        force_upcast=False,
    )


class AutoencoderPictures:
    """An endless supply of (pictures, object masks) for one bank of sprites; batch `step` is always the same."""

    def __init__(self, bank: SpriteBank, corpus: CorpusPreset, seed: int, *, photos: float = 0.15) -> None:
        self._bank, self._corpus, self._seed, self._photo_rate = bank, corpus, seed, photos
        self._scenes = paint_bank(SCENES, corpus.scene_size, max(2, corpus.scene_variants // 4), seed)
        self._photos = load_photos() if photos else ()
        self._main = [index for index, style in enumerate(bank.styles) if style in corpus.styles]

    def batch(self, step: int, count: int) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, s, s) in [-1, 1] and masks (count, 1, s, s) in [0, 1]."""
        rng = np.random.default_rng((self._seed, step))
        pictures, masks = zip(*(self._draw(rng) for _ in range(count)), strict=True)
        return to_unit_range(np.stack(pictures)), torch.from_numpy(np.stack(masks)).float().div(255)[:, None]

    def _draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        size = self._corpus.size
        if rng.random() < self._photo_rate:
            scene = crop_photo(rng, self._photos[rng.integers(len(self._photos))], size)
        else:
            kind, variant = (rng.integers(side) for side in self._scenes.shape[:2])
            scene = crop_scene(rng, self._scenes[kind, variant], size)
        count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
        everything = range(len(self._bank.icons))
        chosen = [int(rng.choice(self._main if rng.random() < 0.6 else everything)) for _ in range(count)]
        drawn = compose(scene, tuple(self._bank.pixels[i] for i in chosen), place_objects(rng, count))
        return drawn.picture, np.maximum.reduce(drawn.masks)


def to_unit_range(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 (n, s, s, 3) to float (n, 3, s, s) in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def reconstruction_loss(made: Tensor, real: Tensor, masks: Tensor, preset: AutoencoderPreset) -> Tensor:
    """Object-weighted L1 + L2, and L1 between the gradients of the two pictures."""
    weight = 1 + preset.object_weight * masks
    weight = weight / weight.mean()
    difference = (made - real).float()
    pixel = (weight * (difference.abs() + difference.square())).mean()
    across = (weight[..., 1:] * difference.diff(dim=-1).abs()).mean()
    down = (weight[..., 1:, :] * difference.diff(dim=-2).abs()).mean()
    return pixel + preset.gradient_weight * (across + down)


def train_autoencoder(preset: Preset, *, cache_dir: Path, run_dir: Path, device: torch.device) -> AutoencoderKL:
    """Train to the preset's number of steps, resuming from `run_dir`; leaves the averaged network in `run_dir/vae`."""
    mine = preset.autoencoder
    torch.manual_seed(mine.seed)
    network = build_autoencoder(mine, preset.corpus.size).to(device, memory_format=torch.channels_last)
    ema = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=mine.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    networks = {"network": network, "ema": ema}
    first = load_checkpoint(run_dir / "vae.safetensors", networks=networks, optimizer=optimizer)
    supply = AutoencoderPictures(load_bank(cache_dir, preset.corpus.sprite_size), preset.corpus, mine.seed)
    unseen_bank = load_bank(cache_dir, preset.corpus.sprite_size, held_out_names=True)
    unseen = AutoencoderPictures(unseen_bank, preset.corpus, mine.seed + 1, photos=0.0).batch(0, 64)
    started = time.monotonic()
    for step in range(first, mine.steps):
        for group in optimizer.param_groups:
            group["lr"] = mine.learning_rate * _schedule(step, mine.steps)
        loss = _step(network, optimizer, supply.batch(step, mine.batch), mine, step, device)
        average(ema, network, decay=mine.ema, step=step)
        if (step + 1) % 50 == 0:
            _logger.info("vae step %d loss %.4f %.1f s", step + 1, loss, time.monotonic() - started)
        if (step + 1) % 250 == 0 or step + 1 == mine.steps:
            _logger.info("vae step %d unseen objects %.2f dB", step + 1, psnr(ema, *unseen, device=device))
            save_checkpoint(run_dir / "vae.safetensors", step=step + 1, networks=networks, optimizer=optimizer)
            ema.save_pretrained(run_dir / "vae")
    _set_scale(ema, supply, device)
    ema.save_pretrained(run_dir / "vae")
    return ema


def _schedule(step: int, steps: int) -> float:
    """Warm-up over 100 steps, flat for 30 %, then a cosine to nothing."""
    rest = max(0.0, (step / steps - 0.3) / 0.7)
    return min(1.0, (step + 1) / 100) * float(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * rest)))


def _step(
    network: AutoencoderKL,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    preset: AutoencoderPreset,
    step: int,
    device: torch.device,
) -> float:
    pictures, masks = (part.to(device) for part in batch)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(preset.seed * 1_000_003 + step)
    with torch.autocast(device.type, torch.bfloat16):
        posterior = network.encode(pictures).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        made = network.decode(posterior.mean + posterior.std * noise).sample
    kl = posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()
    loss = reconstruction_loss(made, pictures, masks, preset) + preset.kl_weight * 0.5 * kl.sum((1, 2, 3)).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def psnr(network: AutoencoderKL, pictures: Tensor, masks: Tensor, *, device: torch.device) -> float:
    """Mean PSNR in dB over whole pictures (peak 1) of reconstructions from the posterior mean."""
    made = torch.cat(
        [network.decode(network.encode(part.to(device)).latent_dist.mean).sample.cpu() for part in pictures.split(16)]
    )
    error = ((made.clamp(-1, 1) - pictures) / 2).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def encode_pictures(network: AutoencoderKL, pictures: Tensor, *, device: torch.device) -> Tensor:
    """Posterior means times the scaling factor, float32 on the CPU."""
    with torch.autocast(device.type, torch.bfloat16):
        inputs = pictures.to(device).contiguous(memory_format=torch.channels_last)
        means = network.encode(inputs).latent_dist.mean
    return (means.float() * network.config.scaling_factor).cpu()


@torch.no_grad()
def _set_scale(network: AutoencoderKL, supply: AutoencoderPictures, device: torch.device) -> None:
    """Set `scaling_factor` so that the latents have unit deviation."""
    pictures, _ = supply.batch(10**6, 64)
    means = network.encode(pictures.to(device)).latent_dist.mean
    network.register_to_config(scaling_factor=float(1 / means.std()))
