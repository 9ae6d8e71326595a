"""Image encoders in local folders: what likeness is measured with. Never a model hub, safetensors only.

    CLIP (`model_type` "clip") and DINOv2 ("dinov2")   folders as transformers saves them
    `SmallImageText` ("imprimatur-image-text")         a few hundred thousand parameters; ships with the small base model

All give unit vectors; DINOv2 knows no text. Which folder is a setting; measuring is `trainer.quality`.
"""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer, Dinov2Model

from sdk.errors import BackboneError

SMALL_TYPE: Final = "imprimatur-image-text"
SMALL_SIDE: Final = 64  # pixels
BATCH: Final = 16  # pictures a pass


class ImageTextEncoder(Protocol):
    """Pictures and texts as unit vectors of one space, as CLIP gives."""

    def encode_images(self, pictures: Tensor) -> Tensor:
        """Unit vectors [B, D] of `pictures` uint8 [B, 3, H, W]."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor | None:
        """Unit vectors [B, D] of `texts`; None from an encoder of pictures alone."""
        ...


class PictureTower(nn.Module):
    """Pictures [B, 3, 64, 64] in [-1, 1] to `width` features."""

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


class SmallImageText(nn.Module):
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
        """[B, 3, s, s] in [-1, 1] to [B, width]."""
        return functional.normalize(self.picture(shrink(pictures)), dim=-1)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Token ids [B, length] to [B, width]."""
        return functional.normalize(self.out(self.layer(self.words(tokens) + self.positions).mean(1)), dim=-1)


def shrink(pictures: Tensor) -> Tensor:
    """Pictures averaged down to 64 pixels."""
    return functional.interpolate(pictures, (SMALL_SIDE, SMALL_SIDE), mode="area")


def save_small(network: SmallImageText, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a folder that `load_encoder` reads; weights as fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    length, width = network.positions.shape
    config = {"model_type": SMALL_TYPE, "vocabulary": network.words.num_embeddings, "length": length, "width": width}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    halves = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(halves, folder / "model.safetensors")
    tokenizer.save_pretrained(folder)


def load_encoder(folder: Path, *, device: torch.device | str = "cpu") -> ImageTextEncoder:
    """Load the encoder in `folder`.

    Raises:
        BackboneError: the folder is missing, incomplete, or of a kind that is not supported.
    """
    config = _read_json(folder, "config.json")
    kinds: Mapping[str, Callable[[Path, dict[str, Any]], Any]] = {
        "clip": _Clip,
        "dinov2": _Dino,
        SMALL_TYPE: _Small,
    }
    kind = kinds.get(str(config.get("model_type")))
    if kind is None:
        raise BackboneError(
            f"{folder} holds a {config.get('model_type')!r}; image encoders are {', '.join(sorted(kinds))}"
        )
    try:
        encoder = kind(folder, config)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as exc:
        first = str(exc).strip().splitlines()[:1]
        raise BackboneError(f"{folder} cannot be loaded as an image encoder: {first[0] if first else exc!r}") from exc
    encoder.network.requires_grad_(False).eval().to(device)
    return encoder


class _Encoder(ABC):
    """Batches, and the device; each kind says how one batch becomes features."""

    network: nn.Module

    def encode_images(self, pictures: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        with torch.no_grad():
            parts = [self._features(part.to(device).float() / 255) for part in pictures.split(BATCH)]
        return functional.normalize(torch.cat(parts).float(), dim=-1).cpu()

    @abstractmethod
    def _features(self, levels: Tensor) -> Tensor:
        """Features [B, F] of pictures [B, 3, S, S] in 0..1."""


class _Small(_Encoder):
    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.network = SmallImageText(config["vocabulary"], config["length"], config["width"])
        self.network.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
        self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        self._length = int(config["length"])

    def _features(self, levels: Tensor) -> Tensor:
        return self.network.encode_pictures(levels * 2 - 1)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        ids = _pad(self._tokenizer, texts, self._length)
        return self.network.encode_tokens(ids.to(self.network.positions.device)).cpu()


class _Clip(_Encoder):
    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.network = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        self._view = _View(folder, int(self.network.config.vision_config.image_size))

    def _features(self, levels: Tensor) -> Tensor:
        return self.network.get_image_features(pixel_values=self._view(levels)).pooler_output

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        ids = _pad(self._tokenizer, texts, int(self.network.config.text_config.max_position_embeddings))
        features = self.network.get_text_features(input_ids=ids.to(self.network.device)).pooler_output
        return functional.normalize(features.float(), dim=-1).cpu()


class _Dino(_Encoder):
    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.network = Dinov2Model.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        side = _read_json(folder, "preprocessor_config.json").get("crop_size", {}).get("height")
        self._view = _View(folder, int(side or self.network.config.image_size))

    def _features(self, levels: Tensor) -> Tensor:
        return self.network(pixel_values=self._view(levels)).pooler_output

    def encode_texts(self, texts: Sequence[str]) -> None:
        return None


class _View:
    """How a network wants to see a picture: the centre square at its side, with its mean and deviation."""

    def __init__(self, folder: Path, side: int) -> None:
        config = _read_json(folder, "preprocessor_config.json")
        self._side = side
        self._mean, self._deviation = (torch.tensor(config[key])[:, None, None] for key in ("image_mean", "image_std"))

    def __call__(self, levels: Tensor) -> Tensor:
        height, width = levels.shape[-2:]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        square = levels[..., top : top + short, left : left + short]
        size = (self._side, self._side)
        seen = functional.interpolate(square, size, mode="bicubic", align_corners=False, antialias=True)
        return (seen.clamp(0, 1) - self._mean.to(levels.device)) / self._deviation.to(levels.device)


def _pad(tokenizer: CLIPTokenizer, texts: Sequence[str], length: int) -> Tensor:
    """Token ids [B, length], cut and padded with the end token."""
    end = tokenizer.eos_token_id
    rows = [
        [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids][: length - 1] for text in texts
    ]
    return torch.tensor([row + [end] * (length - len(row)) for row in rows])


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        document = json.loads((folder / name).read_text("utf-8"))
    except OSError as exc:
        raise BackboneError(f"image encoder {folder}: {name} cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise BackboneError(f"image encoder {folder}: {name} is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise BackboneError(f"image encoder {folder}: {name} should hold a JSON object")
    return document
