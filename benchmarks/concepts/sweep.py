"""A small search of each peer's steps and rates for this base: published numbers belong to Stable Diffusion.

Every setting of a row's grid, the published one among them, learns the given scenes with a seed that the table does not
use; the best mean product of identity and prompt similarity wins. All scores are kept in `sweep.json`; what it holds is
not tried again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.concepts.measures import measure_scene
from benchmarks.concepts.rows import ROWS
from benchmarks.concepts.runner import Run, check_facts, write_json
from benchmarks.concepts.task import Settings, Task
from trainer.encoders import ImageTextEncoder

_logger = logging.getLogger(__name__)
SEED = 1000
SWEPT_FOR = ("base_model", "quick")  # what settings belong to: any machine may find them for another


def sweep(run: Run, rows: Sequence[str], encoder: ImageTextEncoder) -> Path:
    """Try the grids of `rows` on the run's scenes; add each score to `sweep.json` as it comes, and return its path.

    Raises:
        ValueError: the folder holds scores of another network, precision or machine, or of a quick run.
    """
    check_facts(run)
    path = run.out / "sweep.json"
    for row in rows:
        for settings in grid(row):
            tried = read_scores(path)
            if settings in [known for known, _ in tried.get(row, [])]:
                continue
            score = score_settings(run, row, settings, encoder)
            _logger.info("%s: %s: %.3f", row, settings, score)
            tried[row] = [*tried.get(row, []), (settings, score)]
            write_json(path, {name: [encode_score(*each) for each in scores] for name, scores in tried.items()})
    return path


def grid(row: str) -> tuple[Settings, ...]:
    """The settings to try, the published ones first; none for our own rows and for one that goes by another's."""
    published = ROWS[row].published
    return () if published is None or ROWS[row].tuned_as else (published, *ROWS[row].sweep)


def read_scores(path: Path) -> dict[str, list[tuple[Settings, float]]]:
    """What `sweep.json` holds, by row; empty where there is none."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {row: [(Settings(**each["settings"]), each["score"]) for each in tried] for row, tried in found.items()}


def encode_score(settings: Settings, score: float) -> dict[str, object]:
    """One line of `sweep.json`."""
    return {"settings": dataclasses.asdict(settings), "score": score}


def score_settings(run: Run, row: str, settings: Settings, encoder: ImageTextEncoder) -> float:
    """Mean over the run's scenes of identity times prompt similarity."""
    products = []
    for scene in run.scenes:
        task = Task(backbone=run.backbone, scene=scene, seed=SEED, prior=run.prior, quick=run.quick)
        learned = ROWS[row].learn(task, ROWS[row].settings(settings, quick=run.quick)).learned
        values = measure_scene(run.backbone, encoder, scene, learned, run.ordinary(scene), run.effort)
        products.append(values["identity"] * values["prompt"])
    return fmean(products)


def read_tuned(run: Run) -> dict[str, Settings]:
    """The settings that did best in a finished sweep, by row; published ones stand where a row was not swept.

    Raises:
        ValueError: the sweep was made on another network, or that of a row was cut off; run it to its end.
    """
    check_facts(run, SWEPT_FOR)
    best: dict[str, Settings] = {}
    path = run.out / "sweep.json"
    scores = read_scores(path)
    for name, row in ROWS.items():
        tried = scores.get(row.tuned_as or name, [])
        if tried and len(tried) < len(grid(row.tuned_as or name)):
            raise ValueError(f"{path} holds a part of {name}'s grid; run --sweep again to its end")
        if tried:
            best[name] = max(tried, key=lambda each: each[1])[0]
    return best
