"""Concepts found in pictures: cut out by the base model's own attention, and told apart by the image-text encoder.

The cut is made with ordinary class words on the unchanged network, so that it is the same for every method. Whether a
cut shows a concept is a comparison with that concept's training crops, not with a fixed threshold.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.concepts.scenes import NOBODY, BenchScene
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, Picture, TrainingSet
from trainer.em.config import AppearanceConfig, CRFConfig, EMConfig, EStepConfig
from trainer.em.problem import estimate_masks, prepare
from trainer.em.scene import UNNAMED_BACKGROUND, layout_scene
from trainer.quality.measures import reference_cuts

_CONFIG = EMConfig(  # each generated picture is judged by itself
    e_step=EStepConfig(timesteps=4), appearance=AppearanceConfig(weight=0.0), crf=CRFConfig(grid=32)
)
_THING, _PLACE = "bench/thing", "bench/place"


def training_crops(scene: BenchScene) -> dict[str, Tensor]:
    """Each concept as the training pictures show it by the exact masks, on neutral grey, uint8 [P, 3, S, S]."""
    layout = layout_scene(scene.training_set())
    names = [spec.name for spec in scene.concepts]
    numbers = [NOBODY if label == UNNAMED_BACKGROUND else names.index(label) for label in layout.labels]
    exact = torch.stack([scene.owner == number for number in numbers], dim=1).float()
    return reference_cuts(layout, exact)


def cut_concept(backbone: Backbone, pictures: Tensor, *, thing: str, place: str = "") -> Tensor:
    """What `pictures` uint8 [B, 3, S, S] show of a `thing`, or with a `place` all but the thing, on neutral grey."""
    specs = [ConceptSpec(name=_THING, kind=ConceptKind.SUBJECT, class_word=thing)]
    if place:
        specs.append(ConceptSpec(name=_PLACE, kind=ConceptKind.BACKGROUND, class_word=place))
    side = pictures.shape[-1]
    shown = tuple(
        Picture(
            name=f"{number}",
            concepts=tuple(spec.name for spec in specs),
            caption=None,
            pixels=one,
            masks={},
            size=(side, side),
            crop=(0, 0, side),
        )
        for number, one in enumerate(pictures)
    )
    training = TrainingSet(pictures=shown, concepts=tuple(specs), resolution=side, warnings=())
    problem = prepare(backbone, training, _CONFIG)
    rows = {key: value.to(backbone.device) for key, value in problem.origin.items()}
    posterior = estimate_masks(problem, rows).posterior
    return reference_cuts(problem.scene, posterior)[_PLACE if place else _THING]


def shows(vectors: Tensor, concept: str, references: Mapping[str, Tensor]) -> Tensor:
    """Which of the cuts' `vectors` [B, D] show `concept`, bool [B]; `references` are unit vectors [P, D] by concept.

    A cut shows the concept that it is most like, if it is more like it than half way from the nearest other concept
    to the concept's own crops.
    """
    likeness = {name: (vectors @ known.T).mean(dim=1) for name, known in references.items()}
    others = [name for name in references if name != concept]
    nearest = torch.stack([likeness[name] for name in others]).amax(dim=0)
    own = references[concept]
    alike = (own @ own.T).sum() - len(own)
    inside = float(alike / (len(own) * (len(own) - 1)))
    outside = max(float((own @ references[name].T).mean()) for name in others)
    return (likeness[concept] >= (inside + outside) / 2) & (likeness[concept] > nearest)
