"""Presets: every number of the training recipe, as frozen values. `cpu` is two cores for hours, `gpu` one card.

The networks' shapes travel in their configs afterwards; nothing outside this folder knows these numbers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CorpusPreset:
    """Picture side, sprite side, painted variants of each scene, which names (empty: all of them)."""

    size: int = 128
    sprite_size: int = 160
    scene_size: int = 160
    scene_variants: int = 64
    wide: bool = False
    names: tuple[str, ...] = ()
    styles: tuple[str, ...] = ("3d",)
    two_objects: float = 0.3
    three_objects: float = 0.0
    scene_only: float = 0.05


@dataclass(frozen=True, kw_only=True)
class AutoencoderPreset:
    """AutoencoderKL: three halvings of `size` to the latent side."""

    channels: tuple[int, ...] = (16, 32, 64, 128)
    layers: int = 1
    latent_channels: int = 8
    groups: int = 8
    steps: int = 3150
    batch: int = 16
    learning_rate: float = 2e-3
    ema: float = 0.998
    kl_weight: float = 1e-6
    object_weight: float = 2.0
    gradient_weight: float = 0.5
    seed: int = 11


@dataclass(frozen=True, kw_only=True)
class DenoiserPreset:
    """Text encoder and U-Net, trained together on cached latents; `pictured` is the share with pseudo-words."""

    text_width: int = 192
    text_layers: int = 3
    text_heads: int = 6
    text_length: int = 32
    channels: tuple[int, ...] = (96, 192)
    layers: int = 1
    head_dim: int = 32
    groups: int = 32
    pool: int = 24_000
    pictured: float = 0.6
    word_vectors: int = 3
    steps: int = 24_000
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


# Sixty-six names that span the class words: few enough to be drawn well within hours of two cores.
NARROW = (
    "cat",
    "dog",
    "lion",
    "panda",
    "pig",
    "frog",
    "rabbit",
    "chick",
    "owl",
    "apple",
    "banana",
    "strawberry",
    "watermelon",
    "carrot",
    "doughnut",
    "cake",
    "hamburger",
    "sunflower",
    "cactus",
    "violin",
    "bus",
    "car",
    "basketball",
    "robot",
    "snowman",
    "pumpkin",
    "gift",
    "crown",
    "tiger",
    "bear",
    "monkey",
    "mouse",
    "turtle",
    "elephant",
    "wolf",
    "cow",
    "horse",
    "octopus",
    "crab",
    "fish",
    "duck",
    "rooster",
    "pear",
    "lemon",
    "cherries",
    "tomato",
    "corn",
    "pizza",
    "ice cream",
    "cookie",
    "tulip",
    "rose",
    "tree",
    "drum",
    "trumpet",
    "truck",
    "train",
    "airplane",
    "football",
    "yarn",
    "ghost",
    "hammer",
    "camera",
    "teapot",
    "umbrella",
    "butterfly",
)

PRESETS = {
    "cpu": Preset(corpus=CorpusPreset(names=NARROW)),
    "gpu": Preset(
        corpus=CorpusPreset(wide=True, styles=("3d", "color"), scene_variants=200, three_objects=0.05),
        autoencoder=AutoencoderPreset(channels=(64, 96, 160, 160), steps=12_000, batch=96),
        denoiser=DenoiserPreset(channels=(160, 320), pool=400_000, steps=12_000, batch=384),
    ),
    "tiny": Preset(
        corpus=CorpusPreset(size=32, scene_variants=2),
        autoencoder=AutoencoderPreset(channels=(8, 8, 16, 16), latent_channels=4, groups=4, steps=4, batch=2),
        denoiser=DenoiserPreset(
            text_width=16,
            text_layers=1,
            text_heads=2,
            channels=(16, 32),
            layers=1,
            head_dim=8,
            groups=8,
            pool=8,
            steps=4,
            batch=2,
        ),
    ),
}
