"""The attention-mask loss: a word's cross-attention should cover its object, and nothing else.

Plain softmax attention (faster than the fused kernel in bf16 on a CPU) replaces the U-Net's processors for the
training only; the exported U-Net has the ordinary ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor


class _PlainAttention:
    """softmax(q k / sqrt d) v; probabilities of cross-attention over `queries` positions are kept in `kept`."""

    def __init__(self, kept: list[Tensor] | None, queries: int) -> None:
        self._kept, self._queries = kept, queries

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(source))
        value = attn.head_to_batch_dim(attn.to_v(source))
        weights = torch.softmax(query @ key.transpose(1, 2) * attn.scale, dim=-1)
        if self._kept is not None and encoder_hidden_states is not None and weights.shape[1] == self._queries:
            self._kept.append(weights.unflatten(0, (-1, attn.heads)).mean(1))
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(weights.to(value.dtype) @ value)))


@contextmanager
def captured_attention(unet: UNet2DConditionModel, *, queries: int) -> Iterator[list[Tensor]]:
    """Within the block, each forward appends (batch, queries, tokens) maps, averaged over heads, to the list."""
    before = unet.attn_processors
    kept: list[Tensor] = []
    unet.set_attn_processor(_PlainAttention(kept, queries))
    try:
        yield kept
    finally:
        unet.set_attn_processor(before)


def mask_loss(maps: list[Tensor], words: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy from each object's mask to the place its words attend to, less the mask's own entropy.

    Shapes: maps (b, h*w, t), words (b, 2, t), masks (b, 2, h*w). An object without words or pixels counts nothing.
    """
    attention = torch.stack([each.float() for each in maps]).mean(0)
    place = torch.einsum("bqt,bot->boq", attention, words.float()) + 1e-6
    log_place = place.log() - place.sum(-1, keepdim=True).log()
    wanted = masks.float() / masks.float().sum(-1, keepdim=True).clamp_min(1e-6)
    divergence = (wanted * (wanted.clamp_min(1e-8).log() - log_place)).sum(-1)
    counted = (words.sum(-1) > 0) & (masks.float().sum(-1) > 255)
    return (divergence * counted).sum() / counted.sum().clamp_min(1)
