"""Options about drawing that commands share: scheduler, the canvas's size, and where concepts stand on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from sdk.errors import InputError
from sdk.spec.sampling import Scheduler

SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="Width and height in pixels, such as 512x768; else the base model's.", metavar="WxH"),
]
PlaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        help="A place for a concept: a box in fractions of the canvas, such as demo/fox=0,0.3,0.5,1, or a mask, such as "
        "demo/fox=mask.png, white where it stands. May be repeated.",
        metavar="NAME=LEFT,TOP,RIGHT,BOTTOM",
    ),
]
LeakageOption = Annotated[
    float,
    typer.Option(help="How much placed concepts see of each other while they are drawn: 0 nothing, 1 everything."),
]
SchedulerOption = Annotated[str, typer.Option(help=f"How to denoise: {', '.join(Scheduler)}.")]
_MASK_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read "512x768". Raises `InputError`."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not found:
        raise InputError(f"a size is width x height in pixels, such as 512x768, found {text!r}")
    return int(found[1]), int(found[2])


def parse_places(texts: Sequence[str] | None) -> dict[str, tuple[float, ...] | Path] | None:
    """Read "demo/fox=0,0.3,0.5,1" and "demo/fox=mask.png"; whether they are places is the compose call's to say.

    Raises:
        InputError: a text is no such place, or a concept has two.
    """
    places: dict[str, tuple[float, ...] | Path] = {}
    for text in texts or ():
        name, _, place = text.rpartition("=")
        if name in places:
            raise InputError(f"{name} has two places; a concept stands in one")
        places[name] = Path(place) if Path(place).suffix.lower() in _MASK_SUFFIXES else _parse_sides(text, place)
    return places or None


def parse_boxes(texts: Sequence[str] | None) -> dict[str, tuple[float, ...]] | None:
    """Places that are all boxes. Raises `InputError` like `parse_places`."""
    boxes: dict[str, tuple[float, ...]] = {}
    for name, place in (parse_places(texts) or {}).items():
        if isinstance(place, Path):
            raise InputError(f"the place of {name} is a mask; the rows of a campaign have boxes")
        boxes[name] = place
    return boxes or None


def _parse_sides(text: str, place: str) -> tuple[float, ...]:
    try:
        return tuple(float(side) for side in place.split(","))
    except ValueError as exc:
        raise InputError(
            f"a place is NAME=LEFT,TOP,RIGHT,BOTTOM, such as demo/fox=0,0.3,0.5,1, or NAME=mask.png, found {text!r}"
        ) from exc
