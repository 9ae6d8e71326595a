"""What the peers share: a table of rows for prompts, batches of noised pictures, and the plain training loop.

As in the published code, pictures go through the VAE at every step and prompts through the whole text encoder; nothing
is cached. Speed is compared with that loop, so it is kept as others write it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.concepts.learned import Change, Learned, Rows, trainable
from benchmarks.concepts.task import Settings, Task, class_word
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec
from trainer.em.prompts import CompiledPrompt, PromptCompiler, Slot, embed_words, encode_prompts, parse_prompt
from trainer.mini.corpus.captions import with_article

WEIGHT_DECAY = 1e-2  # AdamW, as all four published trainings have it
TEMPLATES = (  # of the ImageNet templates that Textual Inversion takes its captions from, those about a thing in a picture
    "a photo of {}",
    "a rendering of {}",
    "a cropped photo of {}",
    "a bright photo of {}",
    "a close-up photo of {}",
    "a good photo of {}",
    "the photo of {}",
    "a picture of {}",
)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Noised pictures: `noisy`, `target` [B, C, h, w], `timesteps` [B], and which picture, mirrored or not, each is."""

    noisy: Tensor
    target: Tensor
    timesteps: Tensor
    pictures: tuple[int, ...]
    flips: tuple[bool, ...]


def draw_batch(task: Task, size: int, generator: torch.Generator) -> Batch:
    """`size` pictures of the scene, each mirrored half the time, encoded afresh."""
    pictures = torch.randint(len(task.scene.pictures), (size,), generator=generator).tolist()
    flips = (torch.rand(size, generator=generator) < 0.5).tolist()
    pixels = [task.scene.pictures[picture].pixels.float() / 127.5 - 1 for picture in pictures]
    shown = torch.stack([one.flip(-1) if flip else one for one, flip in zip(pixels, flips, strict=True)])
    mean, std = task.backbone.encode_pictures(shown)
    latents = mean + std * torch.randn(mean.shape, generator=generator).to(std)
    return noise_batch(task.backbone, latents, generator, tuple(pictures), tuple(flips))


def noise_batch(
    backbone: Backbone,
    latents: Tensor,
    generator: torch.Generator,
    pictures: tuple[int, ...] = (),
    flips: tuple[bool, ...] = (),
) -> Batch:
    """Noise at uniform levels, one for each of `latents`."""
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    timesteps = torch.randint(backbone.train_timesteps, (len(latents),), generator=generator).to(latents.device)
    return Batch(
        noisy=backbone.add_noise(latents, noise, timesteps),
        target=backbone.target(latents, noise, timesteps),
        timesteps=timesteps,
        pictures=pictures,
        flips=flips,
    )


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The plain diffusion objective."""
    return functional.mse_loss(prediction.float(), target.float())


@dataclass(frozen=True, kw_only=True)
class Words:
    """How prompts of one method name the concepts: `slots` into a table of rows."""

    slots: Mapping[str, Slot]
    compiler: PromptCompiler

    def prompt(self, specs: Sequence[ConceptSpec], template: str = TEMPLATES[0]) -> CompiledPrompt:
        """The caption that names `specs`: things joined by "and", then "in" and the places."""
        things = [f"{{{spec.name}}}" for spec in specs if spec.kind is not ConceptKind.BACKGROUND]
        behind = [f"{{{spec.name}}}" for spec in specs if spec.kind is ConceptKind.BACKGROUND]
        parts = [" and ".join(group) for group in (things, behind) if group]
        return self.compiler.compile(parse_prompt(template.format(" in ".join(parts)), self.slots))


def lay_out(task: Task, rows: Mapping[str, Rows]) -> tuple[Words, dict[str, Tensor]]:
    """Put each concept's `rows` into one table; return the words and the table, tower key to [R, d]."""
    slots, table = Learned(tokens=rows).table()
    device = task.backbone.device
    words = Words(slots=slots, compiler=PromptCompiler(task.backbone.towers))
    return words, {key: value.to(device) for key, value in table.items()}


def class_rows(backbone: Backbone, spec: ConceptSpec) -> dict[str, Tensor]:
    """The sub-token embeddings of the concept's class word, [n, d] by tower key."""
    return {tower.key: embed_words(tower, class_word(spec)) for tower in backbone.towers}


def rare_row(backbone: Backbone, number: int) -> dict[str, Tensor]:
    """The embedding of a rarely used vocabulary entry, [1, d]: an identifier without a meaning of its own.

    Single bytes beyond ASCII stand at the end of the first 256 entries of every CLIP vocabulary.
    """
    found = {}
    for tower in backbone.towers:
        matrix = tower.encoder.get_input_embeddings().weight.detach().float().cpu()
        at = min(255, len(matrix) - 3) - number
        found[tower.key] = matrix[at : at + 1]
    return found


def shown_specs(task: Task, picture: int) -> list[ConceptSpec]:
    """The concepts listed for a picture, in the scene's order."""
    return [spec for spec in task.scene.concepts if spec.name in task.scene.pictures[picture].concepts]


def started_rows(task: Task) -> dict[str, Rows]:
    """Each concept's rows at the mean of its class word's sub-tokens, as many as the concept has vectors."""
    return {
        spec.name: {
            key: rows.mean(dim=0, keepdim=True).repeat(spec.vectors, 1)
            for key, rows in class_rows(task.backbone, spec).items()
        }
        for spec in task.scene.concepts
    }


def tokens_of(words: Words, table: Rows) -> dict[str, Rows]:
    """Each concept's rows out of the table."""
    return {
        name: {key: rows.detach()[list(slot.rows)].clone() for key, rows in table.items()}
        for name, slot in words.slots.items()
    }


def picture_loss(task: Task, words: Words, table: Rows, size: int, generator: torch.Generator) -> Tensor:
    """The plain objective on a batch whose captions name all that their picture shows."""
    batch = draw_batch(task, size, generator)
    templates = torch.randint(len(TEMPLATES), (size,), generator=generator).tolist()
    shown = [shown_specs(task, picture) for picture in batch.pictures]
    prompts = [words.prompt(specs, TEMPLATES[at]) for specs, at in zip(shown, templates, strict=True)]
    prediction = task.backbone.predict(batch.noisy, batch.timesteps, encode_prompts(task.backbone, prompts, table))
    return squared_error(prediction, batch.target)


def prior_loss(task: Task, words: Words, table: Rows, settings: Settings, generator: torch.Generator) -> Tensor:
    """The plain objective on pictures of a concept's class that the base model drew itself; zero where none is asked for."""
    if not settings.prior_pictures:
        return torch.zeros((), device=task.backbone.device)
    spec = task.scene.concepts[int(torch.randint(len(task.scene.concepts), (), generator=generator))]
    word = class_word(spec)
    kept = task.prior.latents(task.backbone, word, settings.prior_pictures)
    chosen = torch.randint(len(kept), (settings.batch_size,), generator=generator)
    batch = noise_batch(task.backbone, kept[chosen.to(kept.device)], generator)
    prompt = words.compiler.compile((f"a photo of {with_article(word)}",))
    text = encode_prompts(task.backbone, [prompt] * settings.batch_size, table)
    return squared_error(task.backbone.predict(batch.noisy, batch.timesteps, text), batch.target)


@contextmanager
def trained_in_place(
    backbone: Backbone, wanted: Callable[[str], bool]
) -> Iterator[tuple[list[Tensor], dict[str, Change]]]:
    """Unfreeze the parameters `wanted` by name; yield them, and a dict that holds their changes once the block ends.

    The network has its own bits back and is frozen again afterwards.
    """
    parameters = {name: value for name, value in trainable(backbone).items() if wanted(name)}
    kept = {name: value.detach().clone() for name, value in parameters.items()}
    changes: dict[str, Change] = {}
    for value in parameters.values():
        value.requires_grad_(True)
    try:
        yield list(parameters.values()), changes
    finally:
        with torch.no_grad():
            for name, value in parameters.items():
                changes[name] = Change(left=(value - kept[name]).float().cpu())
                value.copy_(kept[name])
                value.requires_grad_(False)
                value.grad = None


def train(
    groups: Sequence[tuple[Sequence[Tensor], float]],
    steps: int,
    loss: Callable[[], Tensor],
    *,
    after: Callable[[], None] = lambda: None,
) -> float:
    """`steps` AdamW updates of parameter `groups` (parameters, rate) on `loss()`; return the seconds they took.

    `after` runs once an update is made.
    """
    optimizer = torch.optim.AdamW(
        [{"params": list(parameters), "lr": rate} for parameters, rate in groups], weight_decay=WEIGHT_DECAY
    )
    started = time.monotonic()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_([p for parameters, _ in groups for p in parameters], 1.0)
        optimizer.step()
        after()
    return time.monotonic() - started
