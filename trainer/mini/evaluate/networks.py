"""The evaluators: small convolutional namers and a small image-text encoder ("mini-CLIP"), stored as safetensors.

All read 64-pixel pictures. `colour` names by the picture as it is, `shape` by gray values whose contrast is inverted
at random, so that colour cannot pass for shape; `scene` names the place. Training is in `fit.py`.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 64
_NAMERS = ("colour", "shape", "scene")


class PictureTower(nn.Module):
    """Pictures (n, 3, 64, 64) in [-1, 1] to `width` features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (3, 24, 48, 96, 160)
        blocks: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
            blocks += [nn.Conv2d(after, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Linear(channels[-1] * 2, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Mean and maximum over the last 4 x 4 map, then a linear map."""
        fields = self.blocks(pictures).flatten(2)
        return self.out(torch.cat([fields.mean(-1), fields.amax(-1)], 1))


class ImageTextEncoder(nn.Module):
    """Pictures and token ids to unit vectors of one space, as CLIP does it; the text tower is one transformer layer."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.picture = PictureTower(width)
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.tensor(2.5))

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """(n, 3, s, s) in [-1, 1] to (n, width), unit length."""
        return F.normalize(self.picture(to_side(pictures)), dim=-1)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Token ids (n, length) to (n, width), unit length."""
        return F.normalize(self.out(self.layer(self.words(tokens) + self.positions).mean(1)), dim=-1)


@dataclass(frozen=True, kw_only=True)
class Evaluators:
    """The trained networks, and the names that their outputs stand for."""

    namers: dict[str, PictureTower]
    labels: dict[str, tuple[str, ...]]
    encoder: ImageTextEncoder

    @torch.no_grad()
    def scores(self, namer: str, pictures: Tensor) -> Tensor:
        """Logits (n, labels) of one namer for pictures (n, 3, s, s) in [-1, 1]."""
        small = to_side(pictures)
        return self.namers[namer](small.mean(1, keepdim=True).expand_as(small) if namer == "shape" else small)


def to_side(pictures: Tensor) -> Tensor:
    """Pictures averaged down to 64 pixels."""
    return F.interpolate(pictures, (SIDE, SIDE), mode="area")


def build_evaluators(labels: dict[str, tuple[str, ...]], *, vocabulary: int, length: int, width: int) -> Evaluators:
    """Untrained networks."""
    namers = {name: PictureTower(len(labels[name])) for name in _NAMERS}
    return Evaluators(namers=namers, labels=labels, encoder=ImageTextEncoder(vocabulary, length, width))


def save_evaluators(evaluators: Evaluators, folder: Path) -> None:
    """Write `config.json` and one fp16 safetensors file a network."""
    folder.mkdir(parents=True, exist_ok=True)
    length, width = evaluators.encoder.positions.shape
    vocabulary = evaluators.encoder.words.num_embeddings
    config = {"labels": evaluators.labels, "vocabulary": vocabulary, "length": length, "width": width}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name, network in _networks(evaluators).items():
        halves = {key: value.half().contiguous() for key, value in network.state_dict().items()}
        save_file(halves, folder / f"{name}.safetensors")


def load_evaluators(folder: Path) -> Evaluators:
    """Read what `save_evaluators` wrote, in fp32, ready to judge."""
    config = json.loads((folder / "config.json").read_text())
    labels = {name: tuple(names) for name, names in config.pop("labels").items()}
    evaluators = build_evaluators(labels, **config)
    for name, network in _networks(evaluators).items():
        network.load_state_dict(
            {key: value.float() for key, value in load_file(folder / f"{name}.safetensors").items()}
        )
        network.eval()
    return evaluators


def _networks(evaluators: Evaluators) -> dict[str, nn.Module]:
    return {**evaluators.namers, "image_text": evaluators.encoder}
