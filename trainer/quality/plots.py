"""Plots and pictures as strings that a page can hold: inline SVG, base64 PNG. No script, no file, no style sheet."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

from trainer.em.e_step import NOBODY

SHOWN_SIDE = 256  # pixels of a picture at most: a page shows it at half of that, and holds a hundred
WIDTH, HEIGHT = 460, 180  # of a plot's drawing area, SVG units
PAD = 40
LABEL_COLOURS = ("#e4572e", "#2e86ab", "#f2b134", "#5b8e7d", "#8e5ba6", "#d1495b", "#3d5a80", "#9a8c98", "#606c38")


def picture_uri(pixels: Tensor | np.ndarray) -> str:
    """A PNG data URI, `SHOWN_SIDE` a side at most, of uint8 [3, H, W] (tensor) or [H, W, 3] (array)."""
    array = pixels.permute(1, 2, 0).numpy() if isinstance(pixels, Tensor) else pixels
    buffer, picture = BytesIO(), Image.fromarray(np.ascontiguousarray(array))
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BOX)
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def overlay(pixels: Tensor, winner: Tensor) -> np.ndarray:
    """The picture uint8 [3, S, S] greyed and tinted by the winning label [G, G] of each cell, uint8 [S, S, 3].

    A cell that no label won stays grey.
    """
    side = pixels.shape[-1]
    labels = np.asarray(Image.fromarray(winner.numpy()).resize((side, side), Image.Resampling.NEAREST))
    palette = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in LABEL_COLOURS], np.float32)
    grey = pixels.float().mean(dim=0).numpy()[..., None]
    tint = np.where((labels == NOBODY)[..., None], grey, palette[labels % len(palette)])
    return (0.45 * grey + 0.55 * tint).round().clip(0, 255).astype(np.uint8)


def line_plot(
    series: dict[str, Sequence[float]],
    *,
    title: str,
    x_label: str,
    first: int = 0,
    y_range: tuple[float, float] | None = None,
) -> str:
    """An SVG line plot of named series against their index, counted from `first`."""
    values = [value for line in series.values() for value in line]
    if not values:
        return f"<p>{escape(title)}: nothing to show.</p>"
    low, high = y_range or (min(values), max(values))
    span = (high - low) or 1.0
    longest = max(len(line) for line in series.values())
    parts = [_frame(title, f"{x_label} ({first} to {first + longest - 1})", low, high)]
    for index, (name, line) in enumerate(series.items()):
        colour = LABEL_COLOURS[index % len(LABEL_COLOURS)]
        points = " ".join(
            f"{PAD + WIDTH * i / max(1, longest - 1):.1f},{PAD + HEIGHT * (1 - (v - low) / span):.1f}"
            for i, v in enumerate(line)
        )
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>')
        parts.append(f'<text x="{PAD + WIDTH + 8}" y="{PAD + 14 + 16 * index}" fill="{colour}">{escape(name)}</text>')
    return _svg(parts, WIDTH + PAD + 150, HEIGHT + 2 * PAD)


def heat_table(names: Sequence[str], matrix: Sequence[Sequence[float]]) -> str:
    """An HTML table of shares in [0, 1], shaded by value."""
    head = "".join(f"<th>in {escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f'<td style="background:rgba(46,134,171,{min(1, max(0, v)):.2f})">{v:.2f}</td>' for v in row)
        + "</tr>"
        for name, row in zip(names, matrix, strict=True)
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The running mean over the last `window` values."""
    result = []
    for index in range(len(values)):
        recent = values[max(0, index - window + 1) : index + 1]
        result.append(sum(recent) / len(recent))
    return result


def _frame(title: str, x_label: str, low: float, high: float) -> str:
    right, bottom = PAD + WIDTH, PAD + HEIGHT
    return (
        f'<text x="{PAD}" y="20" font-weight="bold">{escape(title)}</text>'
        f'<path d="M{PAD},{PAD}V{bottom}H{right}" fill="none" stroke="#888"/>'
        f'<text x="{PAD - 4}" y="{PAD + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{PAD - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{escape(x_label)}</text>'
    )


def _svg(parts: Sequence[str], width: int, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )
