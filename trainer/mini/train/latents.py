"""The cached pool: latents, token ids, masks at the latent's size and word positions of captioned composites."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from trainer.mini.corpus.captions import Caption
from trainer.mini.corpus.pool import CaptionedPictures, Item
from trainer.mini.train.autoencoder import encode_pictures, to_unit_range

_OBJECTS = 2


@dataclass(frozen=True, kw_only=True)
class LatentPool:
    """latents (n, c, h, w) half; tokens (n, t); words (n, 2, t) 0/1 of each object's name; masks (n, 2, h*w) 0-255."""

    latents: Tensor
    tokens: Tensor
    words: Tensor
    masks: Tensor


def load_pool(
    path: Path,
    pictures: CaptionedPictures,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    count: int,
    device: torch.device,
) -> LatentPool:
    """The pool at `path`, made at the first call."""
    if not path.exists():
        chunks = [
            _encode(range(at, min(at + 64, count)), pictures, vae, tokenizer, device) for at in range(0, count, 64)
        ]
        stacked = {key: torch.cat([chunk[key] for chunk in chunks]).contiguous() for key in chunks[0]}
        save_file(stacked, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return LatentPool(**load_file(path))


def tokenize(tokenizer: CLIPTokenizer, caption: Caption) -> tuple[list[int], np.ndarray]:
    """Token ids padded to the model's length, and which of them name each object, (2, length)."""
    length = tokenizer.model_max_length
    ids, owners = [tokenizer.bos_token_id], [-1]
    for piece, owner in zip(caption.pieces, caption.owners, strict=True):
        own = tokenizer(piece, add_special_tokens=False).input_ids
        ids, owners = ids + own, owners + [owner] * len(own)
    ids, owners = ids[: length - 1], owners[: length - 1]
    words = np.zeros((_OBJECTS, length), np.uint8)
    for position, owner in enumerate(owners):
        if 0 <= owner < _OBJECTS:
            words[owner, position] = 1
    return ids + [tokenizer.eos_token_id] * (length - len(ids)), words


def _encode(
    indices: range, pictures: CaptionedPictures, vae: AutoencoderKL, tokenizer: CLIPTokenizer, device: torch.device
) -> dict[str, Tensor]:
    items = [pictures.item(index) for index in indices]
    latents = encode_pictures(vae, to_unit_range(np.stack([item.composite.picture for item in items])), device=device)
    tokens, words = zip(*(tokenize(tokenizer, item.caption) for item in items), strict=True)
    return {
        "latents": latents.half(),
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "words": torch.from_numpy(np.stack(words)),
        "masks": torch.from_numpy(np.stack([_small_masks(item, latents.shape[-1]) for item in items])),
    }


def _small_masks(item: Item, side: int) -> np.ndarray:
    masks = np.zeros((_OBJECTS, side * side), np.uint8)
    for index, mask in enumerate(item.composite.masks[:_OBJECTS]):
        masks[index] = np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.BOX)).reshape(-1)
    return masks
