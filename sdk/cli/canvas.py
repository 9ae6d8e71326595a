"""Options about the canvas that commands share: its size, and where concepts stand on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from sdk.errors import InputError

SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="Width and height in pixels, such as 512x768; else the base model's.", metavar="WxH"),
]
PlaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        help="A box for a concept, in fractions of the canvas, such as demo/fox=0,0.3,0.5,1. May be repeated.",
        metavar="NAME=LEFT,TOP,RIGHT,BOTTOM",
    ),
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read "512x768". Raises `InputError`."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not found:
        raise InputError(f"a size is width x height in pixels, such as 512x768, found {text!r}")
    return int(found[1]), int(found[2])


def parse_places(texts: Sequence[str] | None) -> dict[str, tuple[float, ...]] | None:
    """Read "demo/fox=0,0.3,0.5,1"; whether the boxes lie on the canvas is the compose call's to say.

    Raises:
        InputError: a text is no such place, or a concept has two.
    """
    places: dict[str, tuple[float, ...]] = {}
    for text in texts or ():
        name, _, sides = text.rpartition("=")
        if name in places:
            raise InputError(f"{name} has two places; a concept stands in one box")
        try:
            places[name] = tuple(float(side) for side in sides.split(","))
        except ValueError as exc:
            raise InputError(
                f"a place is NAME=LEFT,TOP,RIGHT,BOTTOM, such as demo/fox=0,0.3,0.5,1, found {text!r}"
            ) from exc
    return places or None
