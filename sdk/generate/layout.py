"""Where concepts stand in a picture: a box for each, filled by its own prompt through cross-attention.

Every boxed concept has a region whose prompt is the scene without the other boxed concepts; what no box covers follows
the scene without any of them. In each cross-attention layer the picture attends to every region's prompt, and the
answers are blended by the regions' weights, which add up to 1 in every cell. (The field calls it attention couple;
MultiDiffusion, arXiv 2302.08113, blends predicted noise in the same way.) The layers are changed only inside the `with`.
Importing this module needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import BackboneError, SceneError
from sdk.generate.scene import Scene
from sdk.spec.ids import ConceptId

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SIDE: Final = 0.05  # of the canvas; less is no place for a concept
_CROSS_ATTENTION: Final = "attn2.processor"


@dataclass(frozen=True)
class Box:
    """A place on the canvas, in fractions of its width and height from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


Layout = Mapping[ConceptId, Box]


def parse_layout(boxes: Mapping[str, Sequence[float]], names: Mapping[str, ConceptId]) -> dict[ConceptId, Box]:
    """Read boxes (left, top, right, bottom) by the names that the scene uses.

    Raises:
        SceneError: a name is none of the scene's concepts, or a box does not lie on the canvas.
    """
    if unknown := sorted(set(boxes) - set(names)):
        known = ", ".join(sorted(names))
        raise SceneError(f"the layout places {unknown[0]!r}, which is none of the concepts given: {known}")
    return {names[name]: _parse_box(name, box) for name, box in boxes.items()}


def _parse_box(name: str, box: Sequence[float]) -> Box:
    try:
        left, top, right, bottom = (float(side) for side in box)
    except (TypeError, ValueError) as exc:
        raise SceneError(f"the box of {name!r} is {box!r}; it is four numbers: left, top, right, bottom") from exc
    sides = (0.0 <= left < right <= 1.0, 0.0 <= top < bottom <= 1.0)
    if not all(sides) or min(right - left, bottom - top) < SMALLEST_SIDE:
        raise SceneError(
            f"the box of {name!r} is {tuple(box)}; left, top, right and bottom are fractions of the canvas between 0 "
            f"and 1, and a side is at least {SMALLEST_SIDE}"
        )
    return Box(left, top, right, bottom)


def region_parts(scene: Scene, layout: Layout) -> list[tuple[str | ConceptId, ...]]:
    """The prompts of the regions: first of what no box covers, then of every box, in the layout's order."""
    kept: list[set[ConceptId]] = [set(), *({concept} for concept in layout)]
    return [tuple(part for part in scene.parts if part not in layout or part in keep) for keep in kept]


def region_weights(layout: Layout, rows: int, columns: int) -> Tensor:
    """How much of each cell is each region's [1 + boxes, rows, columns]; the regions fill every cell.

    Boxes that overlap share what they overlap. A cell that a box covers in part is in part the box's.
    """
    import torch

    covered = torch.stack([_covered(box, rows, columns) for box in layout.values()])  # [boxes, rows, columns]
    rest = (1 - covered.sum(0, keepdim=True)).clamp(min=0)
    weights = torch.cat([rest, covered])
    return weights / weights.sum(0, keepdim=True)


def _covered(box: Box, rows: int, columns: int) -> Tensor:
    import torch

    return torch.outer(_overlap(box.top, box.bottom, rows), _overlap(box.left, box.right, columns))


def _overlap(first: float, last: float, cells: int) -> Tensor:
    """The part of each of `cells` equal cells of [0, 1] that lies between `first` and `last` [cells]."""
    import torch

    edges = torch.arange(cells + 1, dtype=torch.float64) * (1 / cells)
    return ((edges[1:].clamp(max=last) - edges[:-1].clamp(min=first)).clamp(min=0) * cells).float()


@contextmanager
def coupled_regions(unet: Any, prompts: Tensor, layout: Layout, latent: tuple[int, int]) -> Iterator[None]:
    """While open, the conditioned half of a batch of `unet` attends to `prompts` [1 + boxes, L, D] by region.

    `latent` is (rows, columns) of the latent picture. The layers are as before on leaving, always.
    """

    def weights(cells: int) -> Tensor:
        return region_weights(layout, *_grid(latent, cells)).reshape(len(layout) + 1, cells, 1)

    before = dict(unet.attn_processors)
    unet.set_attn_processor(
        {
            name: _Coupled(processor, prompts, weights) if name.endswith(_CROSS_ATTENTION) else processor
            for name, processor in before.items()
        }
    )
    try:
        yield
    finally:
        unet.set_attn_processor(before)


class _Coupled:
    """A cross-attention processor that blends the answers to every region's prompt."""

    def __init__(self, inner: Any, prompts: Tensor, weights: Callable[[int], Tensor]) -> None:
        self._inner, self._prompts, self._weights = inner, prompts, weights

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """`hidden_states` [B, N, C]; the last of the batch is the conditioned one, before it the negative prompt's."""
        import torch

        if encoder_hidden_states is None:
            raise BackboneError("a cross-attention layer of the base model has no prompt to attend to")
        prompts = self._prompts.to(encoder_hidden_states)  # [R, L, D]
        regions = len(prompts)
        picture = torch.cat([hidden_states[:-1], hidden_states[-1:].expand(regions, -1, -1)])  # [B - 1 + R, N, C]
        text = torch.cat([encoder_hidden_states[:-1], prompts])
        answers = self._inner(attn, picture, text, attention_mask, temb)
        weights = self._weights(hidden_states.shape[1]).to(answers)  # [R, N, 1]
        blended = (answers[-regions:] * weights).sum(0, keepdim=True)
        return torch.cat([answers[:-regions], blended])


def _grid(latent: tuple[int, int], cells: int) -> tuple[int, int]:
    """Rows and columns of a layer with `cells` places: the latent's, halved (rounding up) some times."""
    rows, columns = latent
    while rows * columns > cells:
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    if rows * columns != cells:
        raise BackboneError(f"a layer of the base model has {cells} places, which is no halving of {latent}")
    return rows, columns
