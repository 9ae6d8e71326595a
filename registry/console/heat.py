"""Maps of attention as cells, for a template to draw as SVG over a picture. Pure: bytes in, boxes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdk.spec.explanation import ConceptAttention

FINEST: Final = 32  # cells along the longer side; finer maps are averaged
_DARKEST: Final = 0.88  # over a place that was not looked at


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A place of the picture, and how dark it is laid over it."""

    x: int
    y: int
    shade: float


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Where a picture attended to one concept."""

    name: str  # of the concept; empty: the other words of the scene
    share: float
    columns: int
    rows: int
    cells: tuple[Cell, ...]

    @property
    def percent(self) -> int:
        return round(100 * self.share)


def heat_of(attention: ConceptAttention) -> Heat:
    """The map, clear at its peak and dark where the concept was not looked at."""
    step = -(-max(attention.rows, attention.columns) // FINEST)
    rows, columns = -(-attention.rows // step), -(-attention.columns // step)
    means = [_mean(attention, x * step, y * step, step) for y in range(rows) for x in range(columns)]
    peak = max(means) or 1.0
    cells = tuple(
        Cell(x=place % columns, y=place // columns, shade=round(_DARKEST * (1 - mean / peak), 3))
        for place, mean in enumerate(means)
    )
    name = str(attention.concept or "")
    return Heat(name=name, share=attention.share, columns=columns, rows=rows, cells=cells)


def _mean(attention: ConceptAttention, left: int, top: int, step: int) -> float:
    seen = [
        attention.cells[y * attention.columns + x]
        for y in range(top, min(top + step, attention.rows))
        for x in range(left, min(left + step, attention.columns))
    ]
    return sum(seen) / len(seen)
