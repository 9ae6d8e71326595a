"""Presets: every number of the training recipe, as frozen values. `cpu` is two cores for hours, `gpu` one card.

The networks' shapes travel in their configs afterwards; nothing outside this folder knows these numbers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CorpusPreset:
    """What is drawn: picture side, sprite side, painted variants of each scene, and how wide the vocabulary is."""

    size: int = 128
    sprite_size: int = 160
    scene_size: int = 160
    scene_variants: int = 64
    wide: bool = False
    styles: tuple[str, ...] = ("3d",)
    two_objects: float = 0.3
    three_objects: float = 0.0
    scene_only: float = 0.05


@dataclass(frozen=True, kw_only=True)
class AutoencoderPreset:
    """AutoencoderKL: three halvings of `size` to the latent side."""

    channels: tuple[int, ...] = (32, 64, 128, 128)
    layers: int = 1
    latent_channels: int = 8
    groups: int = 16
    steps: int = 3000
    batch: int = 16
    learning_rate: float = 1.5e-3
    ema: float = 0.998
    kl_weight: float = 1e-6
    object_weight: float = 3.0
    gradient_weight: float = 1.0
    seed: int = 11


@dataclass(frozen=True, kw_only=True)
class DenoiserPreset:
    """Text encoder and U-Net, trained together on cached latents."""

    text_width: int = 192
    text_layers: int = 3
    text_heads: int = 6
    text_length: int = 32
    channels: tuple[int, ...] = (144, 288)
    layers: int = 2
    head_dim: int = 48
    groups: int = 24
    pool: int = 40_000
    steps: int = 6000
    batch: int = 32
    learning_rate: float = 1e-3
    hold: float = 0.3
    ema: float = 0.998
    dropout: float = 0.1
    min_snr: float = 5.0
    centre_timestep: float = 420.0
    timestep_spread: float = 180.0
    mask_weight: float = 0.05
    seed: int = 23


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One whole recipe."""

    corpus: CorpusPreset = CorpusPreset()
    autoencoder: AutoencoderPreset = AutoencoderPreset()
    denoiser: DenoiserPreset = DenoiserPreset()


PRESETS = {
    "cpu": Preset(),
    "gpu": Preset(
        corpus=CorpusPreset(wide=True, styles=("3d", "color"), scene_variants=200, three_objects=0.05),
        autoencoder=AutoencoderPreset(channels=(64, 96, 160, 160), steps=12_000, batch=96),
        denoiser=DenoiserPreset(channels=(160, 320), pool=400_000, steps=12_000, batch=384),
    ),
    "tiny": Preset(
        corpus=CorpusPreset(size=32, scene_variants=2),
        autoencoder=AutoencoderPreset(channels=(8, 8, 16, 16), latent_channels=4, groups=4, steps=4, batch=2),
        denoiser=DenoiserPreset(
            text_width=16, text_layers=1, text_heads=2, channels=(16, 32), layers=1, head_dim=8, groups=4, pool=8, steps=4, batch=2
        ),
    ),
}
