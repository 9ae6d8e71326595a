"""What is to be learned and where it is: labels, their rows in the embedding table, presence in each picture.

A *label* is a thing a mask can belong to: each spatial concept, and one shared label for the backgrounds that the
user did not name. Each picture without a named background gets rows of its own for it: learning what surrounds a
concept keeps it out of the concept, and keeps the alternation from swapping the two. A style is not a label: it has
rows, and is everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdk.spec.manifest import ConceptKind
from trainer.data import DEFAULT_CLASS_WORD, ConceptSpec, Picture, TrainingSet, is_spatial
from trainer.em.prompts import CompiledPrompt, Prompt, Slot, parse_prompt

UNNAMED_BACKGROUND = "(background)"  # the shared label; never a legal concept name
UNNAMED_BACKGROUND_VECTORS = 1


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The layout of one training: N pictures, K labels, R rows.

    `presence` bool [N, K] says which labels a picture has; `slots` maps concept names to rows; `unnamed` gives each
    picture's own background slot, or None where the user named a background.
    """

    concepts: tuple[ConceptSpec, ...]
    labels: tuple[str, ...]
    backgrounds: tuple[bool, ...]
    presence: Tensor
    slots: dict[str, Slot]
    unnamed: tuple[Slot | None, ...]
    pictures: tuple[Picture, ...]
    row_words: tuple[str, ...]
    articles: bool = False  # whether prompts say "an animal" for a slot, not "animal": its row is a class word

    @property
    def row_count(self) -> int:
        return len(self.row_words)

    def slot(self, picture: int, label: int) -> Slot:
        """The rows that stand for `label` in `picture`."""
        name = self.labels[label]
        unnamed = self.unnamed[picture]
        return unnamed if name == UNNAMED_BACKGROUND and unnamed is not None else self.slots[name]

    def present(self, picture: int) -> tuple[int, ...]:
        """The labels in `picture`, in order."""
        return tuple(self.presence[picture].nonzero().flatten().tolist())

    def styles(self, picture: int) -> tuple[str, ...]:
        """The styles listed for `picture`."""
        listed = self.pictures[picture].concepts
        return tuple(c.name for c in self.concepts if not is_spatial(c.kind) and c.name in listed)


def layout_scene(training_set: TrainingSet) -> Scene:
    """Give each concept its rows, and each picture without a named background its own background rows."""
    concepts, pictures = training_set.concepts, training_set.pictures
    spatial = [concept for concept in concepts if is_spatial(concept.kind)]
    words: list[str] = []
    slots = {concept.name: _take_rows(words, concept.vectors, class_word(concept)) for concept in concepts}
    named = {concept.name for concept in spatial if concept.kind is ConceptKind.BACKGROUND}
    unnamed: list[Slot | None] = []
    for picture in pictures:
        if named & set(picture.concepts):
            unnamed.append(None)
        else:
            unnamed.append(_take_rows(words, UNNAMED_BACKGROUND_VECTORS, DEFAULT_CLASS_WORD[ConceptKind.BACKGROUND]))
    labels = [concept.name for concept in spatial]
    backgrounds = [concept.kind is ConceptKind.BACKGROUND for concept in spatial]
    presence = torch.tensor([[label in picture.concepts for label in labels] for picture in pictures], dtype=torch.bool)
    presence = presence.reshape(len(pictures), len(labels))
    if any(slot is not None for slot in unnamed):
        labels, backgrounds = [*labels, UNNAMED_BACKGROUND], [*backgrounds, True]
        column = torch.tensor([slot is not None for slot in unnamed])
        presence = torch.cat([presence, column[:, None]], dim=1)
    return Scene(
        concepts=concepts,
        labels=tuple(labels),
        backgrounds=tuple(backgrounds),
        presence=presence,
        slots=slots,
        unnamed=tuple(unnamed),
        pictures=pictures,
        row_words=tuple(words),
    )


def in_words(scene: Scene) -> Scene:
    """The same labels in plain words: one row for each, its class word, with an article. What a network knows best."""
    concepts = tuple(dataclasses.replace(concept, vectors=1) for concept in scene.concepts)
    words = TrainingSet(pictures=scene.pictures, concepts=concepts, resolution=0, warnings=())
    return dataclasses.replace(layout_scene(words), articles=True)


def class_word(concept: ConceptSpec) -> str:
    """The user's class word, or the plain word for the concept's kind."""
    return concept.class_word.strip() or DEFAULT_CLASS_WORD[concept.kind]


def _take_rows(words: list[str], count: int, word: str) -> Slot:
    first = len(words)
    words.extend([word] * count)
    return Slot(rows=tuple(range(first, first + count)))


def picture_prompt(scene: Scene, picture: int, labels: Sequence[int], template: str) -> Prompt:
    """The prompt that shows `labels` of `picture`: the user's caption when all are shown, else `template`.

    Things are joined by "and", a background follows with "in", a style comes last.
    """
    caption = scene.pictures[picture].caption
    if caption is not None and set(labels) >= set(scene.present(picture)):
        prompt = parse_prompt(caption, scene.slots)
        unnamed = scene.unnamed[picture]
        return prompt if unnamed is None else (*prompt, "in", unnamed)
    before, after = template.split("{}")
    parts: list[str | Slot] = [before.strip()]
    things = [label for label in labels if not scene.backgrounds[label]]
    places = [label for label in labels if scene.backgrounds[label]]
    for joiner, group in (("and", things), ("and", places)):
        for position, label in enumerate(group):
            if position:
                parts.append(joiner)
            elif group is places and things:
                parts.append("in")
            slot = scene.slot(picture, label)
            parts += [article(scene.row_words[slot.rows[0]]), slot] if scene.articles else [slot]
    for style in scene.styles(picture):
        parts += ["in the style of", scene.slots[style]]
    parts.append(after.strip())
    return tuple(part for part in parts if part != "")


def article(word: str) -> str:
    """The indefinite article before `word`."""
    return "an" if word[0].lower() in "aeiou" else "a"


def label_columns(scene: Scene, pictures: Sequence[int], prompts: Sequence[CompiledPrompt]) -> Tensor:
    """[B, K, L]: averages attention over each label's tokens when multiplied with attention [B, L, Q].

    Zero for labels that a prompt does not show.
    """
    length = len(prompts[0].ids[0])
    weights = torch.zeros(len(prompts), len(scene.labels), length)
    for sample, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        for label in scene.present(picture):
            own = set(scene.slot(picture, label).rows)
            columns = [c for c, row in zip(prompt.columns, prompt.rows, strict=True) if row in own]
            weights[sample, label, columns] = 1 / max(1, len(columns))
    return weights
