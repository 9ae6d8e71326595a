"""Where a picture attended to each concept while it was drawn: cross-attention, read without changing it.

After DAAM (Tang et al., "What the DAAM", arXiv 2210.04885): the attention of each place to the tokens of a concept,
averaged over heads and denoising steps, and over layers once they are brought to one grid. Of each place only what it
pays to the words of the scene counts; the start, the end and the padding, which take up what no word asks for, are
left out. Maps say where the network looked. They are no proof of what caused a pixel.

Forward hooks keep what chosen layers compute anyway, inside the `with` only. Importing this module needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import BackboneError
from sdk.generate.layout import latent_grid
from sdk.spec.explanation import FULL, ConceptAttention
from sdk.spec.ids import ConceptId

if TYPE_CHECKING:
    from torch import Tensor

FINEST_GRID: Final = 32  # places along a side; finer layers say hardly more and cost most
_CROSS_ATTENTION: Final = "attn2"

Owners = Sequence[ConceptId | None]
"""Of each token of a prompt after the first, which starts it: its concept, or none for one of the other words."""


@dataclass(frozen=True, kw_only=True)
class AttendedPrompts:
    """The conditioned prompts of a picture: one, or one for each region."""

    owners: tuple[Owners, ...]
    weights: Callable[[int], Tensor] | None = None  # of a layer of so many places, [regions, places, 1]; none for one


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """How much of what each place paid to the scene's words went to one concept, or to the words that are none."""

    concept: ConceptId | None
    share: float  # of the whole picture; the shares of a picture add up to 1
    cells: Tensor  # [rows, columns], each between 0 and 1

    @property
    def kept(self) -> ConceptAttention:
        """The map as it travels and is kept."""
        rows, columns = self.cells.shape
        cells = (self.cells * FULL).round().clamp(0, FULL).flatten().tolist()
        share = min(1.0, max(0.0, round(self.share, 6)))
        return ConceptAttention(
            concept=self.concept, share=share, rows=rows, columns=columns, cells=bytes(map(int, cells))
        )


@dataclass
class AttentionRecorder:
    """Attention of pictures that are drawn together, added up over all passes.

    Of each batch the last ones are read: of every picture, one after another, each of its prompts.
    """

    prompts: AttendedPrompts
    latent: tuple[int, int]
    pictures: int = 1
    sums: dict[tuple[int, int], Tensor] = field(default_factory=dict)  # of a grid: [pictures, labels, rows, columns]
    _owned_columns: Tensor | None = None

    @property
    def labels(self) -> tuple[ConceptId | None, ...]:
        return tuple(dict.fromkeys(owner for owners in self.prompts.owners for owner in owners))

    def add(self, heads: int, query: Tensor, key: Tensor) -> None:
        """Add one layer's attention; `query` [B, N, H * d] and `key` [B, L, H * d] as the layer computed them."""
        regions, places = len(self.prompts.owners), query.shape[1]
        grid, read = latent_grid(self.latent, places), self.pictures * regions
        asked, known = (flat[-read:].unflatten(-1, (heads, -1)).transpose(1, 2) for flat in (query, key))
        scores = asked @ known.transpose(-1, -2) / math.sqrt(asked.shape[-1])
        attention = scores.float().softmax(dim=-1).mean(dim=1).unflatten(0, (-1, regions))  # [pictures, regions, N, L]
        if self.prompts.weights is not None:
            attention = attention * self.prompts.weights(places).to(attention)
        paid = (attention @ self._owned(attention)).sum(1)  # [pictures, N, labels]
        paid = paid.transpose(1, 2).unflatten(-1, grid)
        self.sums[grid] = self.sums[grid] + paid if grid in self.sums else paid

    def _owned(self, attention: Tensor) -> Tensor:
        """Which columns of each region's prompt are each label's, as ones [regions, L, labels]."""
        if self._owned_columns is None:
            owned = attention.new_zeros(len(self.prompts.owners), attention.shape[-1], len(self.labels))
            for region, owners in enumerate(self.prompts.owners):
                for column, owner in enumerate(owners, 1):
                    owned[region, column, self.labels.index(owner)] = 1
            self._owned_columns = owned
        return self._owned_columns

    def maps(self) -> tuple[tuple[AttentionMap, ...], ...]:
        """The maps of every picture, concepts first, in the order of the scene.

        Raises:
            BackboneError: nothing was recorded.
        """
        import torch
        from torch.nn.functional import interpolate

        if not self.sums:
            raise BackboneError("the base model has no cross-attention that was read; it cannot say where a concept is")
        finest = max(self.sums, key=math.prod)
        grids = [interpolate(each, finest, mode="bilinear") for each in self.sums.values()]
        paid = torch.stack(grids).sum(0).cpu()  # [pictures, labels, rows, columns]
        nothing = torch.finfo(paid.dtype).tiny  # is paid where a region's prompt has no words
        return tuple(self._maps_of(each) for each in paid / paid.sum(1, keepdim=True).clamp(min=nothing))

    def _maps_of(self, cells: Tensor) -> tuple[AttentionMap, ...]:
        """`cells` [labels, rows, columns] of one picture."""
        shares = cells.sum(dim=(1, 2)) / cells.sum()
        found = zip(self.labels, shares.tolist(), cells, strict=True)
        maps = [AttentionMap(concept=label, share=share, cells=held) for label, share, held in found]
        return tuple(sorted(maps, key=lambda each: each.concept is None))


@contextmanager
def recorded_attention(
    unet: Any, prompts: AttendedPrompts, latent: tuple[int, int], *, pictures: int = 1
) -> Iterator[AttentionRecorder]:
    """While open, every pass of `unet` adds its attention to the recorder. The hooks are removed on leaving, always.

    `latent` is (rows, columns) of the latent picture; so many `pictures` are drawn together.
    """
    recorder = AttentionRecorder(prompts=prompts, latent=latent, pictures=pictures)
    handles = []
    try:
        for name, module in unet.named_modules():
            if name.endswith(f".{_CROSS_ATTENTION}") and hasattr(module, "to_q"):
                handles += _hook(module, recorder)
        yield recorder
    finally:
        for handle in handles:
            handle.remove()


def _hook(module: Any, recorder: AttentionRecorder) -> list[Any]:
    """Hooks on one layer, which computes its queries before its keys."""
    queries: list[Tensor] = []

    def on_query(_module: object, _inputs: object, output: Tensor) -> None:
        queries[:] = [output]

    def on_key(_module: object, _inputs: object, output: Tensor) -> None:
        query = queries.pop()
        if query.shape[1] <= max(FINEST_GRID**2, math.prod(recorder.latent) // FINEST_GRID):
            recorder.add(int(module.heads), query, output)

    return [module.to_q.register_forward_hook(on_query), module.to_k.register_forward_hook(on_key)]
