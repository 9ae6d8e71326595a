"""Scene text with concepts in braces: "a photo of {demo/fox} at {demo/pier}". Pure; no torch.

Only what stands in braces becomes a concept. A placeholder token or a tokenizer's control token written out in the
text is refused, so that no text can bring in a concept that was not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sdk.errors import FormatError, SceneError
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import MAX_CONCEPTS

MAX_SCENE_CHARACTERS: Final = 2_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_TOKEN_LIKE = re.compile(r"<(?:[a-z0-9-]+|\|[^>]*\|)>(?:_[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A scene as its author wrote it, and cut into plain text and concepts."""

    text: str
    parts: tuple[str | ConceptId, ...]
    names: Mapping[str, ConceptId]  # what stands in its braces


def name_concepts(concepts: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Placeholder name to reference: a list names each concept by itself, a mapping gives short names.

    Raises:
        SceneError: none is given, one is given twice, or more than `MAX_CONCEPTS` are.
    """
    if isinstance(concepts, str):
        raise SceneError(f"expected a list of concepts such as [{concepts!r}], found the text itself")
    said = [*concepts, *(concepts.values() if isinstance(concepts, Mapping) else ())]
    if strangers := [each for each in said if not isinstance(each, str)]:
        raise SceneError(f"a concept is a text such as 'demo/fox', found {strangers[0]!r}")
    named = dict(concepts) if isinstance(concepts, Mapping) else {ref.partition("@")[0]: ref for ref in concepts}
    ids = [ref.partition("@")[0] for ref in (named.values() if isinstance(concepts, Mapping) else concepts)]
    if not ids:
        raise SceneError("no concept is given; name at least one, such as 'demo/fox'")
    if len(ids) > MAX_CONCEPTS:
        raise SceneError(f"{len(ids)} concepts are given; a picture has at most {MAX_CONCEPTS}: leave some out")
    if len(set(ids)) != len(ids):
        raise SceneError("a concept is given twice; name each once and write it in the scene as often as it appears")
    return named


def parse_scene(text: str, names: Mapping[str, ConceptId]) -> Scene:
    """Read scene text; `names` are the placeholders that may stand in braces.

    Raises:
        SceneError: a name in braces is unknown, a concept is not in the scene, or the text holds a token.
    """
    _require_text(text, "the scene")
    parts: list[str | ConceptId] = []
    for position, part in enumerate(_BRACES.split(text)):
        if position % 2 == 0:
            parts += _plain_part(part)
        elif part in names:
            parts.append(names[part])
        else:
            known = ", ".join(f"{{{name}}}" for name in sorted(names))
            raise SceneError(f"the scene names {{{part}}}, which is none of the concepts given: {known}")
    held = {part for part in parts if isinstance(part, ConceptId)}  # plain text may read like an id
    missing = sorted(name for name, concept in names.items() if concept not in held)
    if missing:
        raise SceneError(
            f"the scene does not say where {{{missing[0]}}} is; write it in braces or leave the concept out"
        )
    return Scene(text=text, parts=tuple(parts), names=dict(names))


def plain_text(text: str) -> str:
    """Text that may hold no concept, such as a negative prompt. Raises `SceneError`."""
    _require_text(text, "the text")
    return " ".join(_plain_part(text))


def _require_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise SceneError(f"{what} is {text!r}, which is no text")
    if len(text) > MAX_SCENE_CHARACTERS:
        raise SceneError(f"{what} has {len(text)} characters; at most {MAX_SCENE_CHARACTERS} are read")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise SceneError(f"{what} has half of a character at position {exc.start}; write it anew") from exc


def concept_of(reference: str) -> ConceptId:
    """The concept of `tenant/name@...`. Raises `SceneError`."""
    try:
        return ConceptId(reference.partition("@")[0])
    except FormatError as exc:
        raise SceneError(exc.message) from exc


def _plain_part(text: str) -> list[str]:
    if token := _TOKEN_LIKE.search(text):
        raise SceneError(f"the text holds the token {token[0]!r}; a concept is written in braces, such as {{demo/fox}}")
    if "{" in text or "}" in text:
        raise SceneError("the text has a brace without its partner; concepts are written {tenant/name}")
    return [text.strip()] if text.strip() else []
