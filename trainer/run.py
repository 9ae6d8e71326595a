"""One whole training: fit, assess, export. What a worker calls, and what a person may call from a shell.

`out_dir` gets
    em_state.safetensors                    the last finished round; what a resumed run goes on from
    <tenant>/<name>/learned_embeds.safetensors
    adapters/pytorch_lora_weights.safetensors       where `adapters.steps` asks for stage 2
    masks/<tenant>/<name>/<picture>.png
    samples/<tenant>/<name>/<n>.png
    rounds/<picture>/<n>.png                the masks as they were after each round; round 0 has the class words alone
    report.json, report.html
No job, no queue, no registry: the caller has those.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from sdk.generate.tokens import placeholder_token
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import TrainingSet
from trainer.em.adapters import train_adapters
from trainer.em.config import EMConfig
from trainer.em.loop import fit
from trainer.em.problem import prepare
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.em.scene import class_word, layout_scene
from trainer.em.state import EMState, load_state, save_state
from trainer.encoders import ImageTextEncoder
from trainer.export import is_adapters_of, write_adapters, write_embeddings, write_masks
from trainer.quality.page import render_page
from trainer.quality.plots import overlay
from trainer.quality.report import QualityReport, assess

STATE_FILE = "em_state.safetensors"
ADAPTERS_DIR = "adapters"


@dataclass(frozen=True, kw_only=True)
class LearnedConcept:
    """One concept's files and the facts a manifest states. `dimensions` has one entry for each text encoder."""

    name: str
    kind: ConceptKind
    class_word: str
    placeholder_token: str
    vectors: int
    dimensions: tuple[int, ...]
    embedding: Path
    masks: Mapping[str, Path]  # by picture name; empty for a style
    samples: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a finished training left in `out_dir`."""

    concepts: tuple[LearnedConcept, ...]
    report_json: Path
    report_html: Path
    base_model: Digest
    rounds: int
    steps: int
    converged: bool
    seconds: float  # of this call; a resumed run counts only its own
    warnings: tuple[str, ...]


def run_training(
    backbone: Backbone,
    training_set: TrainingSet,
    config: EMConfig,
    out_dir: Path,
    *,
    resume: bool = True,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    encoder: ImageTextEncoder | None = None,
) -> TrainingResult:
    """Learn every concept of `training_set` and write embeddings, masks, samples and report under `out_dir`.

    With `resume` a state left in `out_dir` by an interrupted run of the same training is gone on from; the result has
    the same bits as without the interruption. An exception out of `on_progress` (a cancelled job) ends the run and
    leaves the last finished round's state. Calling again after success only writes the files again.

    Raises:
        TrainingInputError: the state left behind is of another training.
        FormatError: the state left behind is damaged.
    """
    out_dir = Path(out_dir)
    state_path = out_dir / STATE_FILE
    earlier = load_state(state_path) if resume and state_path.exists() else None
    started = time.monotonic()
    state = fit(
        backbone,
        training_set,
        config,
        earlier,
        on_progress=on_progress,
        on_round=lambda finished: save_state(finished, state_path),
    )
    learn_adapters(backbone, training_set, config, state, out_dir / ADAPTERS_DIR, on_progress)
    trained = time.monotonic() - started

    def on_samples(drawn: int, wanted: int) -> None:
        on_progress(_counting(TrainingPhase.SAMPLES, state, config, drawn, wanted))

    report = assess(backbone, training_set, config, state, encoder=encoder, seconds=trained, on_samples=on_samples)
    concepts = write_concepts(out_dir, backbone, training_set, config, state, report)
    write_rounds(out_dir, report)
    report_json, report_html = write_report(out_dir, report)
    return TrainingResult(
        concepts=concepts,
        report_json=report_json,
        report_html=report_html,
        base_model=backbone.digest,
        rounds=state.round,
        steps=state.step,
        converged=state.converged,
        seconds=time.monotonic() - started,
        warnings=tuple(report.values["warnings"]),
    )


def learn_adapters(
    backbone: Backbone,
    training_set: TrainingSet,
    config: EMConfig,
    state: EMState,
    folder: Path,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    """Stage 2 where the settings ask for it; what an earlier call finished for the same training is kept."""
    wanted = config.adapters.steps
    if not wanted or is_adapters_of(folder, state.fingerprint):
        return

    def on_step(step: int, _loss: Tensor) -> None:
        on_progress(_counting(TrainingPhase.ADAPTERS, state, config, step, wanted))

    adapters = train_adapters(prepare(backbone, training_set, config), state, on_step)
    write_adapters(folder, adapters, backbone, state.fingerprint)


def _counting(phase: TrainingPhase, state: EMState, config: EMConfig, step: int, steps: int) -> TrainingProgress:
    return TrainingProgress(
        round=state.round,
        rounds=config.max_rounds,
        step=step,
        steps=steps,
        loss=None,
        eta_seconds=None,
        phase=phase,
    )


def write_concepts(
    out_dir: Path,
    backbone: Backbone,
    training_set: TrainingSet,
    config: EMConfig,
    state: EMState,
    report: QualityReport,
) -> tuple[LearnedConcept, ...]:
    """Write each concept's embedding, masks and samples, and say where."""
    scene = layout_scene(training_set)
    facts = {
        "imprimatur.seed": str(config.seed),
        "imprimatur.rounds": str(state.round),
        "imprimatur.steps": str(state.step),
    }
    embeddings = write_embeddings(out_dir, backbone, scene, state, facts)
    masks = write_masks(out_dir, scene, state)
    return tuple(
        LearnedConcept(
            name=concept.name,
            kind=concept.kind,
            class_word=class_word(concept),
            placeholder_token=placeholder_token(ConceptId(concept.name)),
            vectors=concept.vectors,
            dimensions=tuple(tower.width for tower in backbone.towers),
            embedding=embeddings[concept.name],
            masks=masks.get(concept.name, {}),
            samples=write_samples(out_dir, concept.name, report),
        )
        for concept in training_set.concepts
    )


def write_samples(out_dir: Path, concept: str, report: QualityReport) -> tuple[Path, ...]:
    """Write the report's samples of `concept` as PNG files."""
    folder = out_dir / "samples" / concept
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, picture in enumerate(report.samples[concept].pictures):
        path = folder / f"{number}.png"
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path, format="PNG")
        paths.append(path)
    return tuple(paths)


def write_rounds(out_dir: Path, report: QualityReport) -> None:
    """Write each picture in grey under each round's masks in colour, as the report shows them."""
    for index, picture in enumerate(report.scene.pictures):
        folder = out_dir / "rounds" / picture.name
        folder.mkdir(parents=True, exist_ok=True)
        for number, winners in enumerate(report.state.history):
            shown = overlay(picture.pixels, winners[index])
            Image.fromarray(shown).save(folder / f"{number}.png", format="PNG", optimize=True)


def write_report(out_dir: Path, report: QualityReport) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`."""
    out_dir.mkdir(parents=True, exist_ok=True)
    as_json, as_page = out_dir / "report.json", out_dir / "report.html"
    as_json.write_text(json.dumps(report.values, indent=1, sort_keys=True) + "\n", "utf-8")
    as_page.write_text(render_page(report), "utf-8")
    return as_json, as_page
