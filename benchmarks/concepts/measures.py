"""The columns of the table that say how good a result is; seconds and bytes are the runner's.

mask_iou     masks on the training pictures against the exact ones, mean over pictures and concepts
identity     likeness of objects, cut out of generated pictures, to their training crops
prompt       likeness of generated pictures to their captions in ordinary words
scene        likeness of generated places, without the object in them, to the training pictures' places
leakage      share of pictures that show a concept of the scene that was not asked for
composition  share of pictures that show both a concept of this scene and one of another, as asked
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.concepts.detection import cut_concept, cut_two, shows, training_crops
from benchmarks.concepts.learned import Learned, applied
from benchmarks.concepts.ours import winners
from benchmarks.concepts.scenes import BenchScene
from benchmarks.concepts.task import class_word, no_rows
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec
from trainer.em.config import EMConfig
from trainer.em.problem import estimate_masks, prepare
from trainer.encoders import ImageTextEncoder
from trainer.mini.corpus.captions import with_article
from trainer.quality.sampling import sample_pictures

NEW_PLACES = ("in the snow", "on a sandy beach", "on the grass", "on a wooden table")
OTHER_THINGS = ("cat", "car", "apple", "dog")
SEED = 5
ORDINARY = "(ordinary words)"  # stands among references for what the base model draws without the concepts


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is drawn: prompts a concept (at most 4), pictures of a composition, denoising steps."""

    prompts: int = 4
    compositions: int = 8
    sampling_steps: int = 20
    guidance: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One prompt: the concept in braces, the same in ordinary words, and the object it shows by its class word."""

    concept: ConceptSpec
    text: str
    plain: str
    thing: str


def asks_for(spec: ConceptSpec, count: int) -> list[Ask]:
    """Prompts that show one concept: an object in new places, a place with other things in it."""
    word = class_word(spec)
    if spec.kind is ConceptKind.BACKGROUND:
        openings = [(f"a photo of {with_article(thing)} in", thing) for thing in OTHER_THINGS[:count]]
        return [
            Ask(concept=spec, text=f"{said} {{{spec.name}}}", plain=f"{said} {with_article(word)}", thing=thing)
            for said, thing in openings
        ]
    return [
        Ask(
            concept=spec,
            text=f"a photo of {{{spec.name}}} {place}",
            plain=f"a photo of {with_article(word)} {place}",
            thing=word,
        )
        for place in NEW_PLACES[:count]
    ]


def draw(backbone: Backbone, learned: Learned, texts: Sequence[str], effort: Effort) -> Tensor:
    """A picture for each of `texts` under what was learned, uint8 [B, 3, S, S]."""
    slots, rows = learned.table()
    on_device = {key: value.to(backbone.device) for key, value in rows.items()}
    with applied(backbone, learned):
        return sample_pictures(
            backbone, texts, slots, on_device, seed=SEED, steps=effort.sampling_steps, guidance=effort.guidance
        )


def draw_ordinary(backbone: Backbone, texts: Sequence[str], effort: Effort) -> Tensor:
    """The base model's own picture for each of `texts`, from the same noise: what shows where nothing was learned."""
    rows = no_rows(backbone)
    return sample_pictures(backbone, texts, {}, rows, seed=SEED, steps=effort.sampling_steps, guidance=effort.guidance)


def scene_asks(scene: BenchScene, effort: Effort) -> list[Ask]:
    """The prompts of every concept of a scene."""
    return [ask for spec in scene.concepts for ask in asks_for(spec, effort.prompts)]


def read_masks(backbone: Backbone, scene: BenchScene, learned: Learned, seed: int) -> Tensor:
    """Masks of a method that draws none, read from the attention of its tokens by our E-step, uint8 [N, S, S]."""
    training = scene.training_set()
    specs = [
        dataclasses.replace(spec, vectors=len(next(iter(learned.tokens[spec.name].values()))))
        for spec in training.concepts
    ]
    with applied(backbone, learned):
        problem = prepare(backbone, dataclasses.replace(training, concepts=tuple(specs)), EMConfig(seed=seed))
        rows = {key: value.clone() for key, value in problem.origin.items()}
        for spec in specs:
            for key, value in learned.tokens[spec.name].items():
                rows[key][list(problem.scene.slots[spec.name].rows)] = value.float().cpu()
        posterior = estimate_masks(problem, {k: v.to(backbone.device) for k, v in rows.items()}).posterior
    return winners(scene, problem.scene, posterior.argmax(dim=1))


def mask_iou(scene: BenchScene, masks: Tensor) -> float:
    """Mean intersection over union of every listed concept's mask in every picture."""
    overlaps = []
    for number, picture in enumerate(scene.pictures):
        for position, spec in enumerate(scene.concepts):
            if spec.name in picture.concepts:
                found, exact = masks[number] == position, scene.mask(number, spec.name)
                overlaps.append(float((found & exact).sum() / (found | exact).sum().clamp_min(1)))
    return sum(overlaps) / len(overlaps)


def measure_scene(
    backbone: Backbone,
    encoder: ImageTextEncoder,
    scene: BenchScene,
    learned: Learned,
    ordinary: Tensor,
    effort: Effort,
) -> dict[str, float]:
    """Identity, prompt, scene and leakage of what was learned; `place` only where the scene has a named place.

    `ordinary` are the same prompts' pictures by `draw_ordinary`.
    """
    references = {name: encoder.encode_images(crops) for name, crops in training_crops(scene).items()}
    asks = scene_asks(scene, effort)
    pictures = draw(backbone, learned, [ask.text for ask in asks], effort)
    said = encoder.encode_texts([ask.plain for ask in asks])
    if said is None:
        raise ValueError("prompt similarity needs an encoder that reads texts; give the folder of a CLIP")
    prompt = (encoder.encode_images(pictures) * said).sum(dim=1).mean()
    likeness: dict[ConceptKind, list[Tensor]] = {}
    leaks: list[Tensor] = []
    for spec in scene.concepts:
        mine = torch.tensor([ask.concept == spec for ask in asks])
        cuts = encoder.encode_images(cut_asked(backbone, pictures[mine], spec, [a for a in asks if a.concept == spec]))
        likeness.setdefault(spec.kind, []).append((cuts @ references[spec.name].T).mean())
        unasked = [ask for ask in asks if ask.concept != spec]
        others, without = (
            encoder.encode_images(cut_asked(backbone, shown[~mine], spec, unasked)) for shown in (pictures, ordinary)
        )
        leaks.append(shows(others, spec.name, {**references, ORDINARY: without}).float())
    values = {kind: float(torch.stack(each).mean()) for kind, each in likeness.items()}
    measured = {
        "identity": values[ConceptKind.SUBJECT],
        "prompt": float(prompt),
        "leakage": float(torch.cat(leaks).mean()),
    }
    if ConceptKind.BACKGROUND in values:
        measured["place"] = values[ConceptKind.BACKGROUND]
    return measured


def cut_asked(backbone: Backbone, pictures: Tensor, spec: ConceptSpec, asks: Sequence[Ask]) -> Tensor:
    """Where `spec` would be in pictures of `asks`: its class word's place, or all but the asked thing's place."""
    if spec.kind is not ConceptKind.BACKGROUND:
        return cut_concept(backbone, pictures, thing=class_word(spec))
    cuts = torch.empty_like(pictures)
    for thing in sorted({ask.thing for ask in asks}):
        chosen = torch.tensor([ask.thing == thing for ask in asks])
        cuts[chosen] = cut_concept(backbone, pictures[chosen], thing=thing, place=class_word(spec))
    return cuts


def composition(
    backbone: Backbone,
    encoder: ImageTextEncoder,
    scenes: tuple[BenchScene, BenchScene],
    learned: tuple[Learned, Learned],
    effort: Effort,
) -> float:
    """Share of pictures that show the first scene's first object with the other scene's place, or its first object."""
    one = scenes[0].concepts[0]
    other = next((c for c in scenes[1].concepts if c.kind is ConceptKind.BACKGROUND), scenes[1].concepts[0])
    joint = "in" if other.kind is ConceptKind.BACKGROUND else "and"
    text = f"a photo of {{{one.name}}} {joint} {{{other.name}}}"
    plain = f"a photo of {with_article(class_word(one))} {joint} {with_article(class_word(other))}"
    both = learned[0].with_other(learned[1])
    pictures = draw(backbone, both, [text] * effort.compositions, effort)
    ordinary = draw_ordinary(backbone, [plain] * effort.compositions, effort)
    crops = {**training_crops(scenes[0]), **training_crops(scenes[1])}
    references: Mapping[str, Tensor] = {name: encoder.encode_images(shown) for name, shown in crops.items()}
    if other.kind is not ConceptKind.BACKGROUND:
        return show_two(backbone, encoder, (pictures, ordinary), (one, other), references)
    asked = [Ask(concept=one, text=text, plain=plain, thing=class_word(one))] * effort.compositions
    found = []
    for spec in (one, other):
        cuts, without = (
            encoder.encode_images(cut_asked(backbone, shown, spec, asked)) for shown in (pictures, ordinary)
        )
        found.append(shows(cuts, spec.name, {**references, ORDINARY: without}))
    return float((found[0] & found[1]).float().mean())


def show_two(
    backbone: Backbone,
    encoder: ImageTextEncoder,
    drawn: tuple[Tensor, Tensor],
    specs: tuple[ConceptSpec, ConceptSpec],
    references: Mapping[str, Tensor],
) -> float:
    """Share of pictures that show both objects, one in each part; `drawn` with the concepts and in ordinary words."""
    words = [class_word(spec) for spec in specs]
    parts, without = (
        [encoder.encode_images(part) for part in cut_two(backbone, pictures, words)] for pictures in drawn
    )
    known = {**references, ORDINARY: torch.cat(without)}
    one, other = ([shows(part, spec.name, known) for part in parts] for spec in specs)
    return float(((one[0] & other[1]) | (one[1] & other[0])).float().mean())
