"""All measurements as one table, mean and spread over scenes and seeds: Markdown, JSON, and a plot a column as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev
from typing import Any

from benchmarks.concepts.rows import ROWS
from benchmarks.concepts.runner import Run, write_json
from benchmarks.concepts.scenes import BenchScene
from trainer.quality.plots import LABEL_COLOURS

COLUMNS: Mapping[str, tuple[str, float]] = {  # key of a measurement: title, factor
    "mask_iou": ("mask IoU", 1),
    "identity": ("identity", 1),
    "prompt": ("prompt", 1),
    "identity_prompt": ("identity x prompt", 1),
    "place": ("scene", 1),
    "leakage": ("leakage", 1),
    "composition": ("composition", 1),
    "seconds": ("seconds", 1),
    "steps_per_second": ("steps/s", 1),
    "e_step_share": ("E-steps, share", 1),
    "to_reach": ("seconds to Textual Inversion's identity, of its own", 1),
    "peak_bytes": ("peak memory, MB", 1e-6),
    "artefact_bytes": ("artefact, kB", 1e-3),
}
PLAIN_LOOP = "textual-inversion"
_BAR, _LEFT, _LINE = 380, 320, 22  # SVG units


def summarise(measurements: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of every column that was measured."""
    summary = {}
    for key, (_title, factor) in COLUMNS.items():
        values = [value * factor for value in (_value(m, key) for m in measurements) if value is not None]
        if values:
            summary[key] = (fmean(values), stdev(values) if len(values) > 1 else 0.0)
    return summary


def _value(measurement: Mapping[str, Any], key: str) -> float | None:
    if key == "identity_prompt":
        return float(measurement["identity"] * measurement["prompt"])
    found = measurement.get(key)
    return None if found is None else float(found)


def write_table(run: Run, rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Write `table.json`, `table.md` and `plots/*.svg`; return the Markdown."""
    summaries = {row: summarise(read_measurements(run, row, seeds)) for row in rows}
    facts = {
        **run.facts(),
        "scenes": [scene.name for scene in run.scenes],
        "seeds": list(seeds),
        "settings": {row: run.encoded_settings(row) for row in rows if ROWS[row].published},
    }
    write_json(run.out / "table.json", {"run": facts, "rows": summaries})
    text = markdown(summaries, f"{len(run.scenes)} scenes, {len(seeds)} seeds; {facts['hardware']}")
    (run.out / "table.md").write_text(text, "utf-8")
    (run.out / "plots").mkdir(exist_ok=True)
    for key, (title, _factor) in COLUMNS.items():
        shown = {ROWS[row].title: summary[key] for row, summary in summaries.items() if key in summary}
        if shown:
            (run.out / "plots" / f"{key}.svg").write_text(bar_plot(title, shown), "utf-8")
    return text


def read_measurements(run: Run, row: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What the runner wrote for one row."""
    return [
        {**found, "to_reach": seconds_to_reach(found.get("stages", ()), _read(run, PLAIN_LOOP, scene, seed))}
        for scene in run.scenes
        for seed in seeds
        if (found := _read(run, row, scene, seed)) is not None
    ]


def _read(run: Run, row: str, scene: BenchScene, seed: int) -> dict[str, Any] | None:
    path = run.path(row, scene, seed).with_suffix(".json")
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def seconds_to_reach(stages: Sequence[Mapping[str, float]], plain: Mapping[str, Any] | None) -> float | None:
    """Seconds of the first stage as good as the plain loop's end, over the plain loop's seconds; None: never."""
    if plain is None:
        return None
    good = [stage["seconds"] for stage in stages if stage["identity"] >= plain["identity"]]
    return min(good) / plain["seconds"] if good else None


def markdown(summaries: Mapping[str, Mapping[str, tuple[float, float]]], caption: str) -> str:
    """The table; a dash stands for what a row does not have."""
    shown = [key for key in COLUMNS if any(key in summary for summary in summaries.values())]
    lines = [
        "| | " + " | ".join(COLUMNS[key][0] for key in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
        *(
            f"| {ROWS[row].title} | " + " | ".join(_cell(summary.get(key)) for key in shown) + " |"
            for row, summary in summaries.items()
        ),
    ]
    return "\n".join(lines) + f"\n\nMean ± standard deviation. {caption}.\n"


def _cell(found: tuple[float, float] | None) -> str:
    if found is None:
        return "-"
    digits = _digits(found[0])
    return f"{found[0]:.{digits}f} ± {found[1]:.{digits}f}"


def _digits(mean: float) -> int:
    return 3 if abs(mean) < 10 else 0


def bar_plot(title: str, values: Mapping[str, tuple[float, float]]) -> str:
    """An SVG of bars with their standard deviation as a line."""
    longest = max(mean + spread for mean, spread in values.values()) or 1.0
    parts = [f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>']
    for number, (name, (mean, spread)) in enumerate(values.items()):
        top = 28 + number * _LINE
        end, reach = _LEFT + _BAR * max(0.0, mean) / longest, _BAR * spread / longest
        parts += [
            f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{end - _LEFT:.1f}" height="15" fill="{LABEL_COLOURS[number == 0]}"/>',
            f'<path d="M{end - reach:.1f},{top + 7}H{end + reach:.1f}" stroke="#222"/>',
            f'<text x="{_LEFT + _BAR + 12}" y="{top + 12}">{mean:.{_digits(mean)}f}</text>',
        ]
    height = 36 + len(values) * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _BAR + 80} {height}" font-family="sans-serif" '
        f'font-size="12" role="img">{"".join(parts)}</svg>\n'
    )
