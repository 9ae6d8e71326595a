"""Concepts found in pictures: cut out by the base model's own attention, and told apart by the image-text encoder.

The cut is made with ordinary class words on the unchanged network, so that it is the same for every method. Whether a
cut shows a concept is a comparison with that concept's training crops, not with a fixed threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from benchmarks.concepts.scenes import NOBODY, BenchScene
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, Picture, TrainingSet
from trainer.em.config import AppearanceConfig, CRFConfig, EMConfig, EStepConfig
from trainer.em.latents import resize
from trainer.em.problem import estimate_masks, prepare
from trainer.em.scene import UNNAMED_BACKGROUND, Scene, layout_scene
from trainer.quality.measures import cut_out, reference_cuts

COLOUR_SHARE = 0.3  # weight of colour against place where two things are parted

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
    scene, posterior = find_thing(backbone, pictures, thing=thing, place=place)
    return reference_cuts(scene, posterior)[_PLACE if place else _THING]


def cut_two(backbone: Backbone, pictures: Tensor, things: Sequence[str]) -> Tensor:
    """Two parts of what `pictures` uint8 [B, 3, S, S] show of any of `things`, in no order, [2, B, 3, S, S].

    Class words say where things are, but not which is which once they are drawn from embeddings: a learned dragon
    beside a learned peach is as much a "fruit". So all that is found is parted by its places and colours.
    """
    side = pictures.shape[-1]
    found = torch.zeros(len(pictures), side, side, dtype=torch.bool)
    for thing in things:
        scene, posterior = find_thing(backbone, pictures, thing=thing)
        found |= resize(posterior.cpu(), side).argmax(dim=1) == scene.labels.index(_THING)
    parts = [two_parts(*each) for each in zip(pictures, found, strict=True)]
    return torch.stack(
        [
            torch.stack([cut_out(picture, part[k]) for picture, part in zip(pictures, parts, strict=True)])
            for k in range(2)
        ]
    )


def two_parts(picture: Tensor, mask: Tensor) -> Tensor:
    """`mask` bool [S, S] of `picture` uint8 [3, S, S] parted in two by 2-means of place and colour, bool [2, S, S]."""
    parts = torch.zeros(2, *mask.shape, dtype=torch.bool)
    features = torch.cat([mask.nonzero() / len(mask), COLOUR_SHARE * picture[:, mask].T / 255], dim=1)
    if len(features) >= 2:
        _, nearest = kmeans2(features.numpy(), 2, minit="++", seed=0)
        parts[:, mask] = torch.stack([torch.from_numpy(nearest) == k for k in range(2)])
    return parts


def find_thing(backbone: Backbone, pictures: Tensor, *, thing: str, place: str = "") -> tuple[Scene, Tensor]:
    """Where `pictures` show a `thing` by its class word, in a named `place` or before anything else: the posterior."""
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
    return problem.scene, estimate_masks(problem, rows).posterior


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
