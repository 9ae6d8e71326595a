"""A small search of each peer's steps and rates for this base: published numbers belong to Stable Diffusion.

Every setting of a row's grid, the published one among them, learns the given scenes with a seed that the table does not
use; the best mean product of identity and prompt similarity wins. The choice is kept in `sweep.json`.
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
from benchmarks.concepts.runner import Run, write_json
from benchmarks.concepts.task import Settings, Task
from trainer.encoders import ImageTextEncoder

_logger = logging.getLogger(__name__)
SEED = 1000


def sweep(run: Run, rows: Sequence[str], encoder: ImageTextEncoder) -> Path:
    """Try the grids of `rows` on the run's scenes; add what is found to `sweep.json` and return its path."""
    path = run.out / "sweep.json"
    run.out.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for row in rows:
        published = ROWS[row].published
        if published is None or row in found:
            continue
        tried = [(each, score_settings(run, row, each, encoder)) for each in (published, *ROWS[row].sweep)]
        best, reached = max(tried, key=lambda each: each[1])
        found[row] = {
            "best": dataclasses.asdict(best),
            "tried": [{"settings": dataclasses.asdict(settings), "score": score} for settings, score in tried],
        }
        _logger.info("%s: %s, %.3f", row, best, reached)
        write_json(path, found)
    return path


def score_settings(run: Run, row: str, settings: Settings, encoder: ImageTextEncoder) -> float:
    """Mean over the run's scenes of identity times prompt similarity."""
    products = []
    for scene in run.scenes:
        task = Task(backbone=run.backbone, scene=scene, seed=SEED, prior=run.prior, quick=run.quick)
        learned = ROWS[row].learn(task, ROWS[row].settings(settings, quick=run.quick)).learned
        values = measure_scene(run.backbone, encoder, scene, learned, run.ordinary(scene), run.effort)
        products.append(values["identity"] * values["prompt"])
    return fmean(products)


def read_tuned(path: Path) -> dict[str, Settings]:
    """The settings that a sweep chose, by row; none where there was no sweep."""
    if not path.exists():
        return {}
    return {row: Settings(**found["best"]) for row, found in json.loads(path.read_text("utf-8")).items()}
