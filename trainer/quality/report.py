"""The quality report as plain values: what a reviewer and a program both read. The page is made from the same values.

It states what was measured and how, and what was not measured and why. It judges nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sdk.errors import TrainingInputError
from sdk.generate.tokens import placeholder_token
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, TrainingSet, is_spatial
from trainer.em.config import EMConfig
from trainer.em.e_step import winners
from trainer.em.prompts import PromptCompiler, parse_prompt
from trainer.em.scene import Scene, class_word, layout_scene
from trainer.em.state import EMState
from trainer.encoders import ImageTextEncoder
from trainer.quality.measures import Likeness, measure_likeness, reference_cuts
from trainer.quality.sampling import sample_pictures

TOGETHER = ""  # no concept has this name
REPORT_FORMAT = "imprimatur.quality-report/v1"
THING_SCENES = ("a photo of {}", "a photo of {} on a beach", "a photo of {} in the snow", "a photo of {} in a forest")
PLACE_SCENES = ("a photo of {}", "a photo of a dog in {}", "a photo of a car in {}", "a photo of an apple in {}")
STYLE_SCENES = ("a dog in the style of {}", "a house in the style of {}", "a car in the style of {}")


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """Samples of one concept: `prompts` hold the concept's name in braces; `pictures` uint8 [B, 3, S, S]."""

    prompts: tuple[str, ...]
    pictures: Tensor


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """Everything the report says: `values` for JSON, and the pictures that only the page shows."""

    values: dict[str, Any]
    scene: Scene
    state: EMState
    samples: dict[str, SampleSet]
    together: SampleSet


def scenes_for(concept: ConceptSpec) -> tuple[str, ...]:
    """New scenes that show whether `concept` was learned apart from what surrounded it."""
    scenes = {ConceptKind.BACKGROUND: PLACE_SCENES, ConceptKind.STYLE: STYLE_SCENES}.get(concept.kind, THING_SCENES)
    return tuple(scene.replace("{}", f"{{{concept.name}}}") for scene in scenes)


def assess(
    backbone: Backbone,
    training_set: TrainingSet,
    config: EMConfig,
    state: EMState,
    *,
    encoder: ImageTextEncoder | None,
    seconds: float,
    on_samples: Callable[[int, int], None] = lambda drawn, wanted: None,
) -> QualityReport:
    """Draw samples, measure what can be measured, and put it together. `on_samples` hears how many are drawn."""
    scene = layout_scene(training_set)
    companions = drawn_together(backbone, scene)
    drawn = _draw_samples(backbone, scene, companions, state, config.seed, on_samples)
    samples, together = {c.name: drawn[c.name] for c in scene.concepts}, drawn[TOGETHER]
    likeness = None
    if encoder is not None:
        texts = {c.name: [plain_text(prompt, c) for prompt in samples[c.name].prompts] for c in scene.concepts}
        pictures = {name: sample.pictures for name, sample in samples.items()}
        likeness = measure_likeness(encoder, reference_cuts(scene, state.posterior), pictures, texts)
    values = {
        "format": REPORT_FORMAT,
        "base_model": backbone.digest,
        "config": config.encode(),
        "rounds": state.round,
        "steps": state.step,
        "converged": state.converged,
        "seconds": round(seconds, 2),
        "seconds_by_part": _parts(state),
        "warnings": [*training_set.warnings, *_mask_warnings(scene, state)],
        "concepts": [_concept(c, scene, state, samples, likeness) for c in scene.concepts],
        "labels": list(scene.labels),
        "leakage": [list(row) for row in state.records[-1].leakage],
        "history": [_round(record) for record in state.records],
        "not_measured": [*_not_measured(likeness), *_not_drawn(backbone, scene, companions)],
    }
    return QualityReport(values=values, scene=scene, state=state, samples=samples, together=together)


def joint_prompt(concepts: Sequence[ConceptSpec]) -> str:
    """All of `concepts` in one picture, things first."""
    names = {kind: [f"{{{c.name}}}" for c in concepts if c.kind is kind] for kind in ConceptKind}
    places, styles = names.pop(ConceptKind.BACKGROUND), names.pop(ConceptKind.STYLE)
    things = [name for group in names.values() for name in group]
    text = " and ".join(things)
    if places:
        text = f"{text} in {' and '.join(places)}" if text else " and ".join(places)
    if styles:
        text = f"{text or 'a picture'} in the style of {' and '.join(styles)}"
    return f"a photo of {text}"


def drawn_together(backbone: Backbone, scene: Scene) -> tuple[ConceptSpec, ...]:
    """The scene's concepts, or as many of them as one prompt of the text encoders holds."""
    compiler, chosen = PromptCompiler(backbone.towers), scene.concepts[:1]
    for concept in scene.concepts[1:]:
        try:
            compiler.compile(parse_prompt(joint_prompt((*chosen, concept)), scene.slots))
        except TrainingInputError:
            continue
        chosen = (*chosen, concept)
    return chosen


def plain_text(prompt: str, concept: ConceptSpec) -> str:
    """`prompt` with the class word in the concept's place."""
    return prompt.replace(f"{{{concept.name}}}", f"a {class_word(concept)}")


def _draw_samples(
    backbone: Backbone,
    scene: Scene,
    companions: Sequence[ConceptSpec],
    state: EMState,
    seed: int,
    on_samples: Callable[[int, int], None],
) -> dict[str, SampleSet]:
    """Each concept's samples by its name, and those of all `companions` under `TOGETHER`."""
    wanted = {c.name: scenes_for(c) for c in scene.concepts} | {TOGETHER: (joint_prompt(companions),) * 2}
    total, drawn = sum(map(len, wanted.values())), 0
    samples = {}
    for name, prompts in wanted.items():
        on_samples(drawn, total)
        samples[name] = _sample(backbone, scene, state, prompts, seed)
        drawn += len(prompts)
    on_samples(total, total)
    return samples


def _sample(backbone: Backbone, scene: Scene, state: EMState, prompts: tuple[str, ...], seed: int) -> SampleSet:
    rows = {key: value.to(backbone.device) for key, value in state.rows.items()}
    return SampleSet(prompts=prompts, pictures=sample_pictures(backbone, prompts, scene.slots, rows, seed=seed))


def _not_measured(likeness: dict[str, Likeness] | None) -> list[str]:
    if likeness is None:
        return [
            "identity and prompt similarity: no image encoder is set; name a local folder in [trainer] image_encoder"
        ]
    blind = any(each.prompt is None for each in likeness.values())
    return ["prompt similarity: the image encoder reads no text"] if blind else []


def _not_drawn(backbone: Backbone, scene: Scene, companions: Sequence[ConceptSpec]) -> list[str]:
    left_out = ", ".join(c.name for c in scene.concepts if c not in companions)
    held = min(tower.max_length for tower in backbone.towers) - 2  # without the start and the end of the text
    reason = f"a prompt of this base model has {held} tokens, too few for all"
    return [f"how {left_out} goes together with the others: {reason}"] if left_out else []


def _parts(state: EMState) -> dict[str, float]:
    return {
        "e_step": round(sum(record.seconds_e_step for record in state.records), 2),
        "m_step": round(sum(record.seconds_m_step for record in state.records), 2),
    }


def _concept(
    concept: ConceptSpec,
    scene: Scene,
    state: EMState,
    samples: dict[str, SampleSet],
    likeness: dict[str, Likeness] | None,
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": concept.name,
        "kind": concept.kind.value,
        "class_word": class_word(concept),
        "vectors": concept.vectors,
        "placeholder_token": placeholder_token(ConceptId(concept.name)),
        "sample_prompts": list(samples[concept.name].prompts),
    }
    if is_spatial(concept.kind):
        label = scene.labels.index(concept.name)
        winner = winners(state.posterior)
        shown = scene.presence[:, label].nonzero().flatten().tolist()
        values["mask_area"] = {
            scene.pictures[n].name: round(float((winner[n] == label).float().mean()), 4) for n in shown
        }
        values["attention_kept"] = round(state.records[-1].leakage[label][label], 4)
    if likeness:
        values |= {key: value for key, value in dataclasses.asdict(likeness[concept.name]).items() if value is not None}
    return values


def _mask_warnings(scene: Scene, state: EMState) -> list[str]:
    """What the guards refused in the last round, in words."""
    return [
        f"{scene.pictures[v.picture].name}: the last mask of {scene.labels[v.label]} was refused ({v.reason}); "
        "look at its mask, and give one by hand if it is wrong."
        for v in state.records[-1].verdicts
        if v.reason
    ]


def _round(record: Any) -> dict[str, Any]:
    values = dataclasses.asdict(record)
    refused = [v for v in values.pop("verdicts") if v["reason"]]
    values.pop("leakage")
    return {**values, "losses": [round(loss, 5) for loss in record.losses], "refused": refused}
