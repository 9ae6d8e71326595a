"""Prompts with slots for concepts, and the text conditioning they give under embeddings that are being learned.

A slot stands for a concept's own rows. The rows never enter the text encoder's embedding matrix: while an encoder
runs, a scoped hook puts them in the place of the stand-in ids, so that gradients reach the rows and nothing else.
This is what textual inversion (Gal et al., arXiv 2208.01618) trains, without the matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from sdk.errors import BackboneError, TrainingInputError
from sdk.generate.tokens import STAND_IN_ID
from trainer.backbone import Backbone, TextConditioning, TextTower


@dataclass(frozen=True)
class Slot:
    """The place of a concept: which rows of the embedding table stand there, in order."""

    rows: tuple[int, ...]


Prompt = tuple[str | Slot, ...]


@dataclass(frozen=True, kw_only=True)
class CompiledPrompt:
    """Token ids for each tower, [L] each, and where the slots are: `columns[i]` of the sequence holds `rows[i]`."""

    ids: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]
    rows: tuple[int, ...]


def parse_prompt(text: str, slots: Mapping[str, Slot]) -> Prompt:
    """Read "a photo of {demo/fox} at {demo/pier}" with the slots of the names in braces.

    Raises:
        TrainingInputError: a name in braces has no slot.
    """
    parts: list[str | Slot] = []
    for position, part in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if position % 2 == 0:
            if part.strip():
                parts.append(part.strip())
        elif part in slots:
            parts.append(slots[part])
        else:
            raise TrainingInputError(f"prompt {text!r} names {{{part}}}; known are {', '.join(sorted(slots))}")
    return tuple(parts)


class PromptCompiler:
    """Turns prompts into token ids, once for each prompt."""

    def __init__(self, towers: Sequence[TextTower]) -> None:
        self._towers = tuple(towers)
        self._known: dict[Prompt, CompiledPrompt] = {}

    def compile(self, prompt: Prompt) -> CompiledPrompt:
        """Tokenise `prompt` to the encoders' full length.

        Raises:
            TrainingInputError: the prompt is so long that a concept would be cut off.
        """
        if prompt not in self._known:
            self._known[prompt] = self._compile(prompt)
        return self._known[prompt]

    def _compile(self, prompt: Prompt) -> CompiledPrompt:
        ids, columns, rows = zip(*(_tokenise(tower, prompt) for tower in self._towers), strict=True)
        if any(other != columns[0] for other in columns):
            raise BackboneError(
                "the two tokenizers split a prompt differently; the base model's folder mixes two models"
            )
        return CompiledPrompt(ids=ids, columns=columns[0], rows=rows[0])


def _tokenise(tower: TextTower, prompt: Prompt) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    tokenizer = tower.tokenizer
    ids: list[int] = [tokenizer.bos_token_id]
    columns: list[int] = []
    rows: list[int] = []
    for part in prompt:
        if isinstance(part, Slot):
            columns += range(len(ids), len(ids) + len(part.rows))
            rows += part.rows
            ids += [STAND_IN_ID] * len(part.rows)
        else:
            ids += tokenizer(part, add_special_tokens=False).input_ids
    if columns and columns[-1] >= tower.max_length - 1:
        raise TrainingInputError(
            f"a prompt has over {tower.max_length - 2} tokens and cuts a concept off; "
            "shorten the caption, give its concepts fewer vectors, or list fewer for the picture"
        )
    ids = [*ids[: tower.max_length - 1], tokenizer.eos_token_id]
    ids += [tokenizer.pad_token_id] * (tower.max_length - len(ids))
    return tuple(ids), tuple(columns), tuple(rows)


def embed_words(tower: TextTower, words: str) -> Tensor:
    """The input embeddings [n, d] of the sub-tokens of `words`, float32."""
    ids = tower.tokenizer(words, add_special_tokens=False).input_ids
    if not ids:
        raise TrainingInputError(f"class word {words!r} has no token; use an ordinary word")
    return tower.encoder.get_input_embeddings().weight[torch.tensor(ids)].detach().float().cpu()


@contextmanager
def bound_rows(encoder: torch.nn.Module, batch: Tensor, columns: Tensor, vectors: Tensor) -> Iterator[None]:
    """While open, `encoder` sees `vectors` [n, d] at positions (`batch`, `columns`), [n] each. Removed on leaving."""

    def insert(_module: torch.nn.Module, _args: object, output: Tensor) -> Tensor:
        return output.index_put((batch, columns), vectors.to(output.dtype))

    handle = encoder.get_input_embeddings().register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()


def encode_prompts(
    backbone: Backbone, prompts: Sequence[CompiledPrompt], rows: Mapping[str, Tensor]
) -> TextConditioning:
    """Run the text encoders on `prompts` with `rows` (tower key to [R, d]) in their slots.

    Gradients flow into `rows` when they require them. Equal prompts are encoded once.
    """
    unique = list(dict.fromkeys(prompts))
    device = backbone.device
    places = [
        (b, column, row)
        for b, prompt in enumerate(unique)
        for column, row in zip(prompt.columns, prompt.rows, strict=True)
    ]
    batch, columns, index = (torch.tensor(part, device=device, dtype=torch.long) for part in _unzip(places))
    ids = tuple(torch.tensor([prompt.ids[i] for prompt in unique]) for i in range(len(backbone.towers)))
    with _bound_everywhere(backbone, batch, columns, index, rows):
        encoded = backbone.encode_ids(ids)
    order = {prompt: position for position, prompt in enumerate(unique)}
    return encoded.select(torch.tensor([order[prompt] for prompt in prompts], device=device))


def _unzip(places: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[int], list[int]]:
    return [p[0] for p in places], [p[1] for p in places], [p[2] for p in places]


@contextmanager
def _bound_everywhere(
    backbone: Backbone, batch: Tensor, columns: Tensor, index: Tensor, rows: Mapping[str, Tensor]
) -> Iterator[None]:
    first, *others = backbone.towers
    with bound_rows(first.encoder, batch, columns, rows[first.key].to(batch.device)[index]):
        if not others:
            yield
            return
        (second,) = others
        with bound_rows(second.encoder, batch, columns, rows[second.key].to(batch.device)[index]):
            yield
