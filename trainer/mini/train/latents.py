"""The cached pool: latents, token ids, masks at the latent's size, word positions and views of captioned composites."""

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
from trainer.mini.corpus.compose import Composite
from trainer.mini.corpus.pictured import VIEW_SIDE, VIEWS, PicturedComposites, PicturedItem
from trainer.mini.corpus.pool import CaptionedPictures, Item
from trainer.mini.train.autoencoder import encode_pictures, to_unit_range

_OBJECTS = 2


@dataclass(frozen=True, kw_only=True)
class LatentPool:
    """latents (n, c, h, w) half; tokens (n, t); words (n, 2, t) 0/1 of each object's name; masks (n, 2, h*w) 0-255.

    views (n, 3, side, side, 3) 0-255, and slots (n, t): which vector of which view a token carries, or -1.
    """

    latents: Tensor
    tokens: Tensor
    words: Tensor
    masks: Tensor
    slots: Tensor
    views: Tensor


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the items come from: the last `pictured` of the pool have pseudo-words."""

    named: CaptionedPictures
    seen: PicturedComposites
    count: int
    pictured: float

    def item(self, index: int) -> Item | PicturedItem:
        """Item `index` of the pool."""
        return self.named.item(index) if index < self.count * (1 - self.pictured) else self.seen.item(index)


def load_pool(
    path: Path, sources: Sources, vae: AutoencoderKL, tokenizer: CLIPTokenizer, device: torch.device
) -> LatentPool:
    """The pool at `path`, made at the first call."""
    if not path.exists():
        starts = range(0, sources.count, 64)
        chunks = [_encode(range(at, min(at + 64, sources.count)), sources, vae, tokenizer, device) for at in starts]
        stacked = {key: torch.cat([chunk[key] for chunk in chunks]).contiguous() for key in chunks[0]}
        save_file(stacked, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return LatentPool(**load_file(path))


def tokenize(tokenizer: CLIPTokenizer, caption: Caption) -> tuple[list[int], np.ndarray]:
    """Token ids padded to the model's length, and which of them name each object, (2, length)."""
    ids, pieces = _positions(tokenizer, caption)
    words = np.zeros((_OBJECTS, len(ids)), np.uint8)
    for position, piece in enumerate(pieces):
        if piece >= 0 and 0 <= caption.owners[piece] < _OBJECTS:
            words[caption.owners[piece], position] = 1
    return ids, words


def vector_slots(tokenizer: CLIPTokenizer, caption: Caption) -> np.ndarray:
    """Which pseudo-word vector each token carries, (length,), or -1."""
    ids, pieces = _positions(tokenizer, caption)
    carried = [caption.vectors[piece] if piece >= 0 and caption.vectors else -1 for piece in pieces]
    return np.array(carried + [-1] * (len(ids) - len(pieces)), np.int64)


def _positions(tokenizer: CLIPTokenizer, caption: Caption) -> tuple[list[int], list[int]]:
    """Padded ids, and for those before the padding the piece that each came from."""
    length = tokenizer.model_max_length
    ids, pieces = [tokenizer.bos_token_id], [-1]
    for number, piece in enumerate(caption.pieces):
        own = tokenizer(piece, add_special_tokens=False).input_ids
        ids, pieces = ids + own, pieces + [number] * len(own)
    ids, pieces = ids[: length - 1], pieces[: length - 1]
    return ids + [tokenizer.eos_token_id] * (length - len(ids)), pieces


def _encode(
    indices: range, sources: Sources, vae: AutoencoderKL, tokenizer: CLIPTokenizer, device: torch.device
) -> dict[str, Tensor]:
    items = [sources.item(index) for index in indices]
    blank = np.zeros((VIEWS, VIEW_SIDE, VIEW_SIDE, 3), np.uint8)
    views = [item.views if isinstance(item, PicturedItem) else blank for item in items]
    latents = encode_pictures(vae, to_unit_range(np.stack([item.composite.picture for item in items])), device=device)
    tokens, words = zip(*(tokenize(tokenizer, item.caption) for item in items), strict=True)
    return {
        "latents": latents.half(),
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "words": torch.from_numpy(np.stack(words)),
        "masks": torch.from_numpy(np.stack([_small_masks(item.composite, latents.shape[-1]) for item in items])),
        "slots": torch.from_numpy(np.stack([vector_slots(tokenizer, item.caption) for item in items])),
        "views": torch.from_numpy(np.stack(views)),
    }


def _small_masks(composite: Composite, side: int) -> np.ndarray:
    masks = np.zeros((_OBJECTS, side * side), np.uint8)
    for index, mask in enumerate(composite.masks[:_OBJECTS]):
        masks[index] = np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.BOX)).reshape(-1)
    return masks
