"""Pseudo-words: vectors that a small encoder makes of a view, put where its class word stands in a caption.

As in encoder-based tuning (E4T, Gal et al., arXiv 2302.12228) a vector is the class word plus an offset of the length
of a word. The encoder only serves the training, where it makes the denoiser read whole neighbourhoods of its words; it
is not exported, and a concept is still learned by optimising its embedding.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainer.mini.corpus.pictured import VIEW_SIDE

WORD_SCALE = 0.03  # root mean square of the base model's word embeddings
_NOISE = 0.15  # of an offset: a neighbourhood, not a point


class ViewEncoder(nn.Module):
    """Views (n, 3, side, side) in [-1, 1] to offsets (n, vectors, width)."""

    def __init__(self, vectors: int, width: int, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        cells = (VIEW_SIDE // 2 ** len(channels)) ** 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.offsets = nn.Linear(cells * channels[-1], vectors * width)
        self._shape = (vectors, width)

    def forward(self, views: Tensor) -> Tensor:
        """Offsets of the length of a word."""
        made = self.offsets(self.features(views)).unflatten(1, self._shape)
        return WORD_SCALE * nn.functional.layer_norm(made.float(), made.shape[-1:])


def blurred(offsets: Tensor, noise: Tensor) -> Tensor:
    """Offsets (b, views, vectors, d) with `noise` of the same shape."""
    return offsets + _NOISE * WORD_SCALE * noise


@contextmanager
def pseudo_words(encoder: nn.Module, slots: Tensor, offsets: Tensor) -> Iterator[None]:
    """While open, `encoder` reads its words plus `offsets` (b, s, d) where `slots` (b, t) names one (-1: none)."""

    def add(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        chosen = torch.gather(offsets, 1, slots.clamp(min=0)[..., None].expand(-1, -1, offsets.shape[-1]))
        return output + torch.where((slots >= 0)[..., None], chosen, 0).to(output.dtype)

    handle = encoder.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
