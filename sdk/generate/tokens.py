"""Learned tokens: their names, their files, and binding them for one prompt. Textual inversion, arXiv 2208.01618.

A token's rows never enter the text encoder's embedding matrix, and the tokenizer learns no word: while one prompt is
encoded, a hook puts the rows in the place of stand-in ids, exactly as in training. The hook exists only inside the
`with` block, so nothing can be left behind in a pipeline that others use. Importing this module needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import BackboneError, SceneError
from sdk.spec.embedding_file import expected_tensors, verify_embedding
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import EmbeddingFacts

if TYPE_CHECKING:
    from torch import Tensor

STAND_IN_ID: Final = 0  # an ordinary vocabulary row; below the end-of-text id, which pooling looks for as the largest


@dataclass(frozen=True, kw_only=True)
class LearnedToken:
    """What was learned for a concept: rows [k, d] for each text encoder, in the pipeline's order."""

    concept: ConceptId
    rows: tuple[Tensor, ...]

    @property
    def vectors(self) -> int:
        return len(self.rows[0])


@dataclass(frozen=True, kw_only=True)
class CompiledPrompt:
    """Token ids of one text encoder's length; `columns[i]` holds row `rows[i]` [n, d] of that encoder.

    `owners` are the concepts of the tokens after the first, which starts the text; none for ordinary words.
    """

    ids: tuple[int, ...]
    columns: tuple[int, ...]
    rows: Tensor | None
    owners: tuple[ConceptId | None, ...]


def placeholder_token(concept: ConceptId) -> str:
    """The token's public name, `<tenant-name>`: what embedding files and manifests call it."""
    return f"<{concept.replace('/', '-')}>"


def parse_token(content: bytes, facts: EmbeddingFacts, concept: ConceptId) -> LearnedToken:
    """Read a safetensors embedding file: one tensor under the token's name, or `clip_l` and `clip_g`.

    Raises:
        FormatError: it is no such file, or not what the manifest's `facts` say (`sdk.spec.embedding_file`).
    """
    from safetensors.torch import load

    tensors = load(verify_embedding(content, facts, concept))
    rows = tuple(tensors[name].float() for name in expected_tensors(facts))
    return LearnedToken(concept=concept, rows=rows)


def compile_prompt(
    parts: Sequence[str | ConceptId],
    tokens: Mapping[ConceptId, LearnedToken],
    *,
    tower: int,
    tokenizer: Any,
    length: int,
) -> CompiledPrompt:
    """Token ids for text encoder number `tower`, with stand-ins where concepts are.

    Raises:
        SceneError: the text is longer than the encoder reads; nothing is cut off silently.
    """
    import torch

    ids: list[int] = [tokenizer.bos_token_id]
    owners: list[ConceptId | None] = []
    columns: list[int] = []
    rows: list[Tensor] = []
    for part in parts:
        if isinstance(part, ConceptId):
            token = tokens[part]
            columns += range(len(ids), len(ids) + token.vectors)
            rows.append(token.rows[tower])
            ids += [STAND_IN_ID] * token.vectors
        else:
            ids += tokenizer(part, add_special_tokens=False).input_ids
        owners += [part if isinstance(part, ConceptId) else None] * (len(ids) - 1 - len(owners))
    require_length(len(ids) - 1, length)
    ids.append(tokenizer.eos_token_id)
    ids += [tokenizer.pad_token_id] * (length - len(ids))
    return CompiledPrompt(
        ids=tuple(ids), columns=tuple(columns), rows=torch.cat(rows) if rows else None, owners=tuple(owners)
    )


def count_tokens(parts: Sequence[str | ConceptId], vectors: Mapping[ConceptId, int], tokenizer: Any) -> int:
    """How many tokens a prompt has between its start and its end; of each concept, `vectors` says how many."""
    return sum(
        vectors[part] if isinstance(part, ConceptId) else len(tokenizer(part, add_special_tokens=False).input_ids)
        for part in parts
    )


def require_length(tokens: int, length: int) -> None:
    """Refuse so many `tokens` for an encoder of `length`, which are read between a start and an end. Raises `SceneError`."""
    if tokens + 2 > length:
        raise SceneError(f"the text has {tokens} tokens; this base model reads {length - 2}; shorten it")


@contextmanager
def bound_tokens(encoder: Any, prompt: CompiledPrompt) -> Iterator[None]:
    """While open, `encoder` sees the prompt's rows in its columns of a batch of one. Removed on leaving, always.

    Raises:
        BackboneError: the rows have another width than the encoder.
    """
    import torch

    if prompt.rows is None:
        yield
        return
    embeddings = encoder.get_input_embeddings()
    width = int(embeddings.weight.shape[1])
    if prompt.rows.shape[1] != width:
        raise BackboneError(f"a learned token has width {prompt.rows.shape[1]}, the base model's text has {width}")
    columns = torch.tensor(prompt.columns, device=embeddings.weight.device)
    rows = prompt.rows.to(embeddings.weight.device)

    def insert(_module: object, _inputs: object, output: Tensor) -> Tensor:
        bound = output.clone()
        bound[0, columns] = rows.to(output.dtype)
        return bound

    handle = embeddings.register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()
