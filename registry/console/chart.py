"""The geometry of a bar chart, for a template to draw as SVG. Pure: numbers in, boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 220
FOOT: Final = 22  # under the bars, for labels
HEAD: Final = 16  # above the tallest bar, for its number
_GAP: Final = 0.25  # of a slot, left free
_WIDEST: Final = 64.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: a lower part that counts, and one on top of it."""

    label: str
    value: int
    on_top: int
    x: float
    width: float
    y: float
    height: float
    top_y: float
    top_height: float

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


def bars(rows: Sequence[tuple[str, int, int]]) -> tuple[Bar, ...]:
    """A bar for each (label, value, on top), left to right; all are to one scale."""
    tallest = max((value + on_top for _, value, on_top in rows), default=0)
    slot = WIDTH / max(len(rows), 1)
    width = min(slot * (1 - _GAP), _WIDEST)
    scale = (HEIGHT - FOOT - HEAD) / tallest if tallest else 0.0
    return tuple(_bar(place * slot + (slot - width) / 2, width, scale, row) for place, row in enumerate(rows))


def _bar(x: float, width: float, scale: float, row: tuple[str, int, int]) -> Bar:
    label, value, on_top = row
    height, top_height = value * scale, on_top * scale
    y = HEIGHT - FOOT - height
    return Bar(
        label=label,
        value=value,
        on_top=on_top,
        x=round(x, 1),
        width=round(width, 1),
        y=round(y, 1),
        height=round(height, 1),
        top_y=round(y - top_height, 1),
        top_height=round(top_height, 1),
    )
