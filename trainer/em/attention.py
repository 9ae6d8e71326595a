"""Reading attention out of a U-Net without changing it: which layers there are, and what they looked at.

Inside a `with` block, forward hooks keep the queries and keys that chosen layers compute anyway; probabilities are
made from them afterwards, in float32 and outside autocast, while the layers themselves go on with whatever fused
kernel they use. Nothing but the chosen layers is materialised (a full self-attention map of a 64x64 latent alone
would be half a gigabyte). Hooks are gone when the block ends. No diffusers attention processor is replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sdk.errors import BackboneError


@dataclass(frozen=True, kw_only=True)
class AttentionLayer:
    """A layer by its module name, the side of its map in cells, and its place in the order of execution."""

    name: str
    size: int
    order: int


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Which layers an E-step reads: cross-attention maps of side `size`, self-attention of side `self_size`."""

    cross: tuple[str, ...]
    size: int
    own: tuple[str, ...]
    self_size: int


class _LastLayerRead(Exception):
    """Ends a forward pass once nothing further in it will be read."""


@dataclass
class AttentionCapture:
    """Queries [B, Q, H * d] and keys [B, L, H * d] of one forward pass, by layer name."""

    heads: dict[str, int]
    queries: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, Tensor] = field(default_factory=dict)

    def probabilities(self, name: str) -> Tensor:
        """Attention probabilities of layer `name`, [B, H, Q, L], float32; each row sums to 1."""
        query, key = _split(self.queries[name], self.heads[name]), _split(self.keys[name], self.heads[name])
        with torch.autocast(query.device.type, enabled=False):
            scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(query.shape[-1])
            return scores.softmax(dim=-1)

    def mean_map(self, names: Sequence[str]) -> Tensor:
        """Probabilities averaged over heads and the layers `names` (all of one size), [B, Q, L]."""
        return torch.stack([self.probabilities(name).mean(dim=1) for name in names]).mean(dim=0)


def _split(flat: Tensor, heads: int) -> Tensor:
    """[B, N, H * d] to [B, H, N, d]."""
    return flat.unflatten(-1, (heads, -1)).transpose(1, 2)


def list_layers(unet: nn.Module, latent_size: int, *, kind: str) -> tuple[AttentionLayer, ...]:
    """All cross-attention (`kind` "attn2") or self-attention ("attn1") layers, in order of execution."""
    depth = len(unet.config.block_out_channels)
    layers = []
    for name, module in unet.named_modules():
        if name.endswith(f".{kind}") and hasattr(module, "to_q"):
            level, phase = _level(name, depth)
            layers.append((phase, name, max(1, latent_size >> level)))
    layers.sort(key=lambda layer: layer[0])
    return tuple(AttentionLayer(name=name, size=size, order=order) for order, (_, name, size) in enumerate(layers))


def _level(name: str, depth: int) -> tuple[int, int]:
    """How often the latent was halved where `name` runs, and its phase: down blocks, middle, up blocks."""
    block, *rest = name.split(".")
    if block == "down_blocks":
        return int(rest[0]), int(rest[0])
    if block == "mid_block":
        return depth - 1, depth
    if block == "up_blocks":
        return depth - 1 - int(rest[0]), depth + 1 + int(rest[0])
    raise BackboneError(f"attention layer {name} is in none of down_blocks, mid_block, up_blocks")


def choose_layers(layers: Sequence[AttentionLayer], wanted: int) -> tuple[AttentionLayer, ...]:
    """The layers whose map side is nearest to `wanted` in ratio; of two equally near, the finer.

    Raises:
        BackboneError: there is none.
    """
    if not layers:
        raise BackboneError("the U-Net has no attention layers of this kind; it cannot say where a word is")
    best = min({layer.size for layer in layers}, key=lambda size: (abs(math.log2(size / wanted)), -size))
    return tuple(layer for layer in layers if layer.size == best)


def execution_index(unet: nn.Module, name: str) -> int:
    """Where module `name` stands in the order of execution, comparable between kinds of attention."""
    depth = len(unet.config.block_out_channels)
    names = [n for n, m in unet.named_modules() if hasattr(m, "to_q")]
    return sorted(names, key=lambda n: _level(n, depth)[1]).index(name)


def plan_layers(unet: nn.Module, latent_size: int, *, map_size: int, self_map_size: int) -> Layers:
    """Cross-attention nearest to the wanted size; self-attention only where the pass goes anyway."""
    cross = choose_layers(list_layers(unet, latent_size, kind="attn2"), map_size)
    last = max(execution_index(unet, layer.name) for layer in cross)
    reached = [
        layer
        for layer in list_layers(unet, latent_size, kind="attn1")
        if execution_index(unet, layer.name) < last and layer.size >= cross[0].size
    ]
    own = choose_layers(reached, self_map_size) if reached else ()
    return Layers(
        cross=tuple(layer.name for layer in cross),
        size=cross[0].size,
        own=tuple(layer.name for layer in own),
        self_size=own[0].size if own else cross[0].size,
    )


@contextmanager
def attention_capture(
    unet: nn.Module, names: Sequence[str], *, stop_after_last: bool = False
) -> Iterator[AttentionCapture]:
    """Capture the layers `names` during the one forward pass made inside the block.

    With `stop_after_last` the pass ends as soon as the last of them has made its keys, and the block with it: what
    stands after the call inside the block does not run.

    Raises:
        BackboneError: a layer ran twice inside the block, so that maps of two passes would mix.
    """
    modules = {name: unet.get_submodule(name) for name in names}
    seen = AttentionCapture(heads={name: int(module.heads) for name, module in modules.items()})

    def keep(store: dict[str, Tensor], name: str, output: Tensor) -> None:
        if name in store:
            raise BackboneError(f"attention layer {name} ran twice inside one capture; open a capture for each pass")
        store[name] = output

    def on_query(name: str):  # type: ignore[no-untyped-def]
        return lambda _module, _args, output: keep(seen.queries, name, output)

    def on_key(name: str):  # type: ignore[no-untyped-def]
        def hook(_module: nn.Module, _args: object, output: Tensor) -> None:
            keep(seen.keys, name, output)
            if stop_after_last and len(seen.keys) == len(modules):
                raise _LastLayerRead

        return hook

    handles = []
    try:
        for name, module in modules.items():
            handles.append(module.to_q.register_forward_hook(on_query(name)))
            handles.append(module.to_k.register_forward_hook(on_key(name)))
        yield seen
    except _LastLayerRead:
        pass
    finally:
        for handle in handles:
            handle.remove()
