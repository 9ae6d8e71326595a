"""One (row, scene, seed) after another: learn, measure, write. What is written is not done again.

Under the output folder: `run.json`, what all results have in common; `results/<row>/<scene>-<seed>.json` and
`.safetensors`, one measurement and what was learned. Pictures of classes are kept where other runs find them. Composition needs two scenes of a row and seed, and so is
measured in a second pass.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.concepts.learned import load_learned, save_learned
from benchmarks.concepts.measures import (
    Effort,
    composition,
    draw_ordinary,
    mask_iou,
    measure_scene,
    read_masks,
    scene_asks,
)
from benchmarks.concepts.meters import measured
from benchmarks.concepts.rows import ROWS
from benchmarks.concepts.scenes import BenchScene
from benchmarks.concepts.task import Outcome, PriorPictures, Settings, Task, draw_prior
from trainer.backbone import Backbone
from trainer.encoders import ImageTextEncoder

_logger = logging.getLogger(__name__)
QUICK_EFFORT = Effort(prompts=1, compositions=1, sampling_steps=2)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole benchmark: one network, one list of scenes, one output folder. `tuned` replaces published settings."""

    backbone: Backbone
    scenes: tuple[BenchScene, ...]
    out: Path
    prior_folder: Path
    quick: bool = False
    tuned: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
    _ordinary: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    @property
    def effort(self) -> Effort:
        return QUICK_EFFORT if self.quick else Effort()

    @property
    def prior(self) -> PriorPictures:
        return PriorPictures(folder=self.prior_folder, sampling_steps=self.effort.sampling_steps)

    def path(self, row: str, scene: BenchScene, seed: int) -> Path:
        """Where a measurement goes, without its suffix."""
        return self.out / "results" / row / f"{scene.name}-{seed}"

    def ordinary(self, scene: BenchScene) -> Tensor:
        """What the base model draws for the scene's prompts in ordinary words; drawn once a process."""
        if scene.name not in self._ordinary:
            texts = [ask.plain for ask in scene_asks(scene, self.effort)]
            self._ordinary[scene.name] = draw_ordinary(self.backbone, texts, self.effort)
        return self._ordinary[scene.name]

    def settings(self, row: str) -> Settings | None:
        """The numbers of a row; none for one of ours."""
        return ROWS[row].settings(self.tuned.get(row), quick=self.quick)

    def encoded_settings(self, row: str) -> dict[str, Any]:
        """Those numbers as they are written beside what was measured with them."""
        return ROWS[row].encode_settings(self.settings(row), quick=self.quick)

    def facts(self) -> dict[str, Any]:
        """What all results have in common."""
        return {
            "base_model": str(self.backbone.digest),
            "device": str(self.backbone.device.type),
            "precision": str(self.backbone.dtype).removeprefix("torch."),
            "quick": self.quick,
            "hardware": hardware(self.backbone.device),
        }


def hardware(device: torch.device) -> str:
    """The machine in a few words."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def run_all(run: Run, rows: Sequence[str], seeds: Sequence[int], encoder: ImageTextEncoder) -> None:
    """Measure everything that is not yet in the output folder.

    Raises:
        ValueError: the folder holds results of another network, precision or machine, or a row's under other settings.
    """
    check_facts(run)
    for row in rows:
        check_settings(run, row)
    cells = [(row, scene, seed) for seed in seeds for scene in run.scenes for row in rows]
    for number, (row, scene, seed) in enumerate(cells, start=1):
        if not run.path(row, scene, seed).with_suffix(".json").exists():
            values = measure_cell(run, row, scene, seed, encoder)
            _logger.info(
                "%d of %d: %s, %s, seed %d: %.0f s", number, len(cells), row, scene.name, seed, values["seconds"]
            )
    for row, scene, seed in cells if len(run.scenes) > 1 else ():
        add_composition(run, row, scene, seed, encoder)


def check_facts(run: Run, names: Collection[str] | None = None) -> None:
    """Write what results have in common, or hold it, or those `names` of it, to what the folder says."""
    path = run.out / "run.json"
    facts = json.loads(json.dumps(run.facts()))
    if not path.exists():
        run.out.mkdir(parents=True, exist_ok=True)
        write_json(path, facts)
    kept = json.loads(path.read_text("utf-8"))
    if differing := sorted(key for key in names or facts if kept.get(key) != facts[key]):
        raise ValueError(f"{run.out} holds results of another run ({', '.join(differing)} differ); give another --out")


def check_settings(run: Run, row: str) -> None:
    """Hold what is kept of a row to the settings that it is to have now."""
    wanted = json.loads(json.dumps(run.encoded_settings(row)))
    for path in sorted((run.out / "results" / row).glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))["settings"]
        if kept != wanted:
            raise ValueError(f"{path} is of other settings, {kept}; remove it, or give another --out")


def measure_cell(run: Run, row: str, scene: BenchScene, seed: int, encoder: ImageTextEncoder) -> dict[str, Any]:
    """Learn one scene by one method with one seed, and measure it."""
    path = run.path(row, scene, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    task = Task(backbone=run.backbone, scene=scene, seed=seed, prior=run.prior, quick=run.quick)
    settings = run.settings(row)
    draw_prior(task, settings)
    with measured(run.backbone.device) as reading:
        outcome = ROWS[row].learn(task, settings)
    values: dict[str, Any] = {
        "row": row,
        "scene": scene.name,
        "seed": seed,
        "settings": run.encoded_settings(row),
        "seconds": reading.seconds,
        "steps_per_second": outcome.steps / outcome.step_seconds,
        "peak_bytes": reading.peak_bytes,
        "artefact_bytes": save_learned(outcome.learned, path.with_suffix(".safetensors")),
        **quality(run, scene, outcome, seed, encoder),
        "stages": stages(run, scene, outcome, encoder),
        **outcome.notes,
    }
    write_json(path.with_suffix(".json"), values)
    return values


def quality(
    run: Run, scene: BenchScene, outcome: Outcome, seed: int, encoder: ImageTextEncoder
) -> dict[str, float | None]:
    """All measures of one result but composition. Masks that were given are not scored."""
    masks = outcome.masks
    if masks is None and not outcome.given_masks:
        masks = read_masks(run.backbone, scene, outcome.learned, seed)
    overlap = None if masks is None else mask_iou(scene, masks)
    return {
        "mask_iou": overlap,
        **measure_scene(run.backbone, encoder, scene, outcome.learned, run.ordinary(scene), run.effort),
    }


def stages(run: Run, scene: BenchScene, outcome: Outcome, encoder: ImageTextEncoder) -> list[dict[str, float]]:
    """Identity after the seconds of each stage that the method told of."""
    measured_stages = []
    for stage in outcome.stages:
        values = measure_scene(run.backbone, encoder, scene, stage.learned, run.ordinary(scene), run.effort)
        measured_stages.append({"seconds": stage.seconds, "identity": values["identity"]})
    return measured_stages


def add_composition(run: Run, row: str, scene: BenchScene, seed: int, encoder: ImageTextEncoder) -> None:
    """Measure the scene's first object with a concept of the next scene, learned apart by the same method and seed.

    It stays unmeasured where results were brought without what was learned, which is too large to keep of every row.
    """
    path = run.path(row, scene, seed)
    values = json.loads(path.with_suffix(".json").read_text("utf-8"))
    other = run.scenes[(run.scenes.index(scene) + 1) % len(run.scenes)]
    if values.get("composed_with") == other.name:
        return
    files = [p.with_suffix(".safetensors") for p in (path, run.path(row, other, seed))]
    if missing := [file for file in files if not file.exists()]:
        _logger.warning("no composition of %s, %s, seed %d: %s is not there", row, scene.name, seed, missing[0])
        return
    one, two = map(load_learned, files)
    values["composition"] = composition(run.backbone, encoder, (scene, other), (one, two), run.effort)
    values["composed_with"] = other.name
    write_json(path.with_suffix(".json"), values)


def write_json(path: Path, values: object) -> None:
    """Write it whole or not at all; processes that share a folder do not share what is half written."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    partial.replace(path)
