"""What every method is given and gives back, and the settings that peers have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.concepts.learned import Learned
from benchmarks.concepts.scenes import BenchScene
from trainer.backbone import Backbone
from trainer.data import DEFAULT_CLASS_WORD, ConceptSpec
from trainer.mini.corpus.captions import with_article
from trainer.quality.sampling import sample_pictures


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Numbers of a peer. A field that a method does not have stays at its default."""

    steps: int  # updates; of each phase, where there are two
    learning_rate: float  # of what the method trains first
    batch_size: int
    network_rate: float = 0.0  # learning rate of the network's own weights
    prior_pictures: int = 0  # pictures of the class that the base model draws itself, for prior preservation
    rank: int = 0  # of low-rank changes


@dataclass(frozen=True, kw_only=True)
class PriorPictures:
    """Pictures of a class word drawn by the base model itself, as latents, made once and kept in `folder`.

    Their time is nobody's: every method that wants them shares them.
    """

    folder: Path
    sampling_steps: int = 20

    def latents(self, backbone: Backbone, word: str, count: int) -> Tensor:
        """[count, C, h, w] of "a photo of <word>"."""
        path = self.folder / f"{backbone.digest.hex[:12]}-{word}-{count}-{self.sampling_steps}.safetensors"
        if not path.exists():
            prompt = f"a photo of {with_article(word)}"
            pixels = sample_pictures(
                backbone, [prompt] * count, {}, no_rows(backbone), seed=1, steps=self.sampling_steps
            )
            mean, _ = backbone.encode_pictures(pixels.float() / 127.5 - 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            save_file({"latents": mean.cpu().contiguous()}, partial)
            partial.replace(path)
        return load_file(path)["latents"].to(backbone.device)


def no_rows(backbone: Backbone) -> dict[str, Tensor]:
    """A table for prompts of ordinary words."""
    return {tower.key: torch.zeros(1, tower.width) for tower in backbone.towers}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A scene to learn on a frozen network that the method must leave as it found it. `quick` asks for a few steps."""

    backbone: Backbone
    scene: BenchScene
    seed: int
    prior: PriorPictures
    quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What was learned `seconds` after the start."""

    seconds: float
    learned: Learned


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was learned.

    `masks` uint8 [N, S, S], positions in `scene.concepts` as the method drew them itself, or None: they are then read
    from its attention. `steps` updates took `step_seconds`; `stages` on the way there, where a method tells of them;
    `notes` are further numbers for the table's JSON.
    """

    learned: Learned
    steps: int
    step_seconds: float
    masks: Tensor | None = None
    given_masks: bool = False
    stages: tuple[Stage, ...] = ()
    notes: dict[str, float] = field(default_factory=dict)


Method = Callable[[Task], Outcome]


def draw_prior(task: Task, settings: Settings | None) -> None:
    """Have the base model draw the classes' pictures that `settings` ask for, before anything is timed."""
    if settings is not None and settings.prior_pictures:
        for word in {class_word(spec) for spec in task.scene.concepts}:
            task.prior.latents(task.backbone, word, settings.prior_pictures)


def class_word(spec: ConceptSpec) -> str:
    """The concept's own class word, or its kind's."""
    return spec.class_word or DEFAULT_CLASS_WORD[spec.kind]
