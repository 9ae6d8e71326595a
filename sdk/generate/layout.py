"""Where concepts stand in a picture: a box or mask for each, filled by its own prompt through cross-attention.

Every placed concept has a region whose prompt is the scene without the other placed concepts; what no place covers
follows the scene without any of them. In each cross-attention layer the picture attends to every region's prompt, and the
answers are blended by the regions' weights, which add up to 1 in every cell. (The field calls it attention couple;
MultiDiffusion, arXiv 2302.08113, blends predicted noise in the same way.) Regions still see each other in
self-attention, which is how one concept's colours leak into another: `separated_regions` weakens what a place attends
to in the places of others (after Bounded Attention, arXiv 2403.16990). The layers are changed only inside the `with`.
Importing this module needs no torch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import BackboneError
from sdk.generate.places import Layout, mask_picture
from sdk.generate.scene import Scene
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Mask, Place

if TYPE_CHECKING:
    from torch import Tensor

_CROSS_ATTENTION: Final = "attn2.processor"
_SELF_ATTENTION: Final = "attn1.processor"
MAX_SEPARATED_CELLS: Final = 1024  # places of a layer; larger layers draw details, and would need gigabytes


def region_parts(scene: Scene, layout: Layout) -> list[tuple[str | ConceptId, ...]]:
    """The prompts of the regions: first of what no place covers, then of every place, in the layout's order."""
    left_out = [set(layout), *(set(layout) - {concept} for concept in layout)]
    return [tuple(part for part in scene.parts if not _is_one_of(part, out)) for out in left_out]


def _is_one_of(part: str | ConceptId, concepts: set[ConceptId]) -> bool:
    """Whether a part of a scene is one of these concepts; plain text that reads like an id is not."""
    return isinstance(part, ConceptId) and part in concepts


def region_weights(layout: Layout, rows: int, columns: int) -> Tensor:
    """How much of each cell is each region's [1 + places, rows, columns]; the regions fill every cell.

    Places that overlap share what they overlap. A cell that a place covers in part is in part its own.
    """
    import torch

    covered = torch.stack([_covered(place, rows, columns) for place in layout.values()])  # [places, rows, columns]
    rest = (1 - covered.sum(0, keepdim=True)).clamp(min=0)
    weights = torch.cat([rest, covered])
    return weights / weights.sum(0, keepdim=True)


def _covered(place: Place, rows: int, columns: int) -> Tensor:
    """How much of each cell is in `place` [rows, columns]."""
    import torch

    if isinstance(place, Mask):
        return _mean_of_cells(place, rows, columns)
    return torch.outer(_overlap(place.top, place.bottom, rows), _overlap(place.left, place.right, columns))


def _mean_of_cells(mask: Mask, rows: int, columns: int) -> Tensor:
    import torch
    from PIL.Image import Resampling

    small = mask_picture(mask).resize((columns, rows), Resampling.BOX)
    return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).reshape(rows, columns).float() / 255


def _overlap(first: float, last: float, cells: int) -> Tensor:
    """The part of each of `cells` equal cells of [0, 1] that lies between `first` and `last` [cells]."""
    import torch

    edges = torch.arange(cells + 1, dtype=torch.float64) * (1 / cells)
    return ((edges[1:].clamp(max=last) - edges[:-1].clamp(min=first)).clamp(min=0) * cells).float()


@contextmanager
def coupled_regions(
    unet: Any, prompts: Tensor, layout: Layout, latent: tuple[int, int], *, pictures: int = 1
) -> Iterator[None]:
    """While open, the last `pictures` of each batch of `unet` attend to `prompts` [1 + places, L, D] by region.

    Those are the conditioned ones. `latent` is (rows, columns) of the latent picture. The layers are as before on
    leaving, always.
    """
    weights = latent_weights(layout, latent)
    before = dict(unet.attn_processors)
    unet.set_attn_processor(
        {
            name: _Coupled(processor, prompts, weights, pictures) if name.endswith(_CROSS_ATTENTION) else processor
            for name, processor in before.items()
        }
    )
    try:
        yield
    finally:
        unet.set_attn_processor(before)


@contextmanager
def separated_regions(unet: Any, layout: Layout, latent: tuple[int, int], leakage: float) -> Iterator[None]:
    """While open, a cell in one place attends only `leakage` (0 to 1) as much to a cell in the place of another concept.

    In layers of at most `MAX_SEPARATED_CELLS` places, where it is decided what stands where. Cells of no place, and
    cells that places share, are seen as before.
    """

    @functools.cache
    def bias(cells: int) -> Tensor | None:
        if cells > MAX_SEPARATED_CELLS:
            return None
        return separation_bias(layout, *latent_grid(latent, cells), leakage)

    before = dict(unet.attn_processors)
    unet.set_attn_processor(
        {
            name: _Separated(processor, bias) if name.endswith(_SELF_ATTENTION) else processor
            for name, processor in before.items()
        }
    )
    try:
        yield
    finally:
        unet.set_attn_processor(before)


def separation_bias(layout: Layout, rows: int, columns: int, leakage: float) -> Tensor:
    """What is added to the attention of each cell to each cell [cells, cells]: log of how much may be seen."""
    import torch

    weights = region_weights(layout, rows, columns)[1:].reshape(len(layout), -1)  # [places, cells]
    of_one = weights / weights.sum(0, keepdim=True).clamp(min=1e-6) * (weights.sum(0) > 0)
    foreign = of_one.sum(0)[:, None] * of_one.sum(0)[None, :] - of_one.T @ of_one  # 1: in places of different concepts
    seen = 1 - (1 - leakage) * foreign.clamp(0, 1)
    return torch.log(seen.clamp(min=1e-4))


class _Separated:
    """A self-attention processor under which places see less of each other."""

    def __init__(self, inner: Any, bias: Callable[[int], Tensor | None]) -> None:
        self._inner, self._bias = inner, bias

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """`hidden_states` [B, N, C]."""
        bias = self._bias(hidden_states.shape[1])
        if bias is not None:
            attention_mask = bias.to(hidden_states).expand(len(hidden_states), -1, -1)  # [B, N, N]
        return self._inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def latent_weights(layout: Layout, latent: tuple[int, int]) -> Callable[[int], Tensor]:
    """The regions' weights in a layer of so many cells [1 + places, cells, 1]; `latent` is (rows, columns)."""

    @functools.cache
    def weights(cells: int) -> Tensor:
        return region_weights(layout, *latent_grid(latent, cells)).reshape(len(layout) + 1, cells, 1)

    return weights


class _Coupled:
    """A cross-attention processor that blends the answers to every region's prompt."""

    def __init__(self, inner: Any, prompts: Tensor, weights: Callable[[int], Tensor], pictures: int) -> None:
        self._inner, self._prompts, self._weights, self._pictures = inner, prompts, weights, pictures

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """`hidden_states` [B, N, C]; the last P of the batch are the conditioned ones, before them the negative prompt's."""
        import torch

        if encoder_hidden_states is None:
            raise BackboneError("a cross-attention layer of the base model has no prompt to attend to")
        prompts = self._prompts.to(encoder_hidden_states)  # [R, L, D]
        regions, others = len(prompts), len(hidden_states) - self._pictures
        by_region = hidden_states[others:].repeat_interleave(regions, dim=0)  # [P * R, N, C]
        picture = torch.cat([hidden_states[:others], by_region])
        text = torch.cat([encoder_hidden_states[:others], prompts.repeat(self._pictures, 1, 1)])
        answers = self._inner(attn, picture, text, attention_mask, temb)
        weights = self._weights(hidden_states.shape[1]).to(answers)  # [R, N, 1]
        blended = (answers[others:].unflatten(0, (-1, regions)) * weights).sum(1)  # [P, N, C]
        return torch.cat([answers[:others], blended])


def latent_grid(latent: tuple[int, int], cells: int) -> tuple[int, int]:
    """Rows and columns of a layer with `cells` places: the latent's, halved (rounding up) some times."""
    rows, columns = latent
    while rows * columns > cells:
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    if rows * columns != cells:
        raise BackboneError(f"a layer of the base model has {cells} places, which is no halving of {latent}")
    return rows, columns
