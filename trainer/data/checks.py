"""What is refused before a picture is decoded: too many or too few, unknown names, captions and masks of something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from sdk.errors import FormatError, TrainingInputError
from sdk.generate.tokens import placeholder_token
from sdk.spec.ids import ConceptId
from trainer.data.values import ConceptSpec, PictureSpec, is_spatial

MAX_PICTURES: Final = 20
MAX_CONCEPTS: Final = 8
MAX_VECTORS: Final = 4  # embedding vectors a concept


def check_counts(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> None:
    """As many pictures and concepts as one training takes. Raises `TrainingInputError`."""
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise TrainingInputError(f"expected 1 to {MAX_PICTURES} pictures, found {len(pictures)}")
    if not 1 <= len(concepts) <= MAX_CONCEPTS:
        raise TrainingInputError(f"expected 1 to {MAX_CONCEPTS} concepts, found {len(concepts)}")


def check_concepts(concepts: Sequence[ConceptSpec]) -> None:
    """Each concept once, with a name and as many vectors as it can have. Raises `TrainingInputError`."""
    for name, count in Counter(concept.name for concept in concepts).items():
        if count > 1:
            raise TrainingInputError(f"concept {name} is listed {count} times; list it once")
        _check_name(name)
    placeholder_tokens(concept.name for concept in concepts)
    for concept in concepts:
        if not 1 <= concept.vectors <= MAX_VECTORS:
            raise TrainingInputError(
                f"concept {concept.name} asks for {concept.vectors} vectors; give it 1 to {MAX_VECTORS}"
            )


def placeholder_tokens(concepts: Iterable[str]) -> dict[str, str]:
    """Concept name to placeholder token, `<tenant-name>`.

    A token ends in ">", holds no other, and so is never a prefix of another and never ends in `_1`: readers that
    expand prompts by plain text replacement stay correct.

    Raises:
        TrainingInputError: two names give one token, as `a-b/c` and `a/b-c` do.
    """
    tokens: dict[str, str] = {}
    for concept in concepts:
        token = placeholder_token(ConceptId(concept))
        for other, taken in tokens.items():
            if taken == token:
                raise TrainingInputError(f"{other} and {concept} both give the token {token}; rename one of them")
        tokens[concept] = token
    return tokens


def _check_name(name: str) -> None:
    try:
        ConceptId(name)
    except FormatError as exc:
        raise TrainingInputError(f"concept name: {exc}") from exc


def check_membership(pictures: Sequence[PictureSpec], concepts: Sequence[ConceptSpec]) -> None:
    """Each picture lists concepts that are trained, and each of these is in a picture. Raises `TrainingInputError`."""
    known = {concept.name: concept.kind for concept in concepts}
    for picture in pictures:
        if not picture.concepts:
            raise TrainingInputError(f"{picture.path}: no concept is listed for it; list one or leave the picture out")
        for name in picture.concepts:
            if name not in known:
                raise TrainingInputError(
                    f"{picture.path}: concept {name} is not among the concepts to train ({', '.join(sorted(known))}); "
                    "correct its name or add it"
                )
        if len(set(picture.concepts)) < len(picture.concepts):
            raise TrainingInputError(f"{picture.path}: a concept is listed twice for it; list each once")
        _check_caption(picture)
        for name in picture.masks:
            if name not in picture.concepts:
                raise TrainingInputError(f"{picture.path}: a mask is given for {name}, which is not listed for it")
            if not is_spatial(known[name]):
                raise TrainingInputError(
                    f"{picture.path}: a mask is given for {name}, a {known[name].value}, which is everywhere; leave it out"
                )
    for name in sorted(known.keys() - {name for picture in pictures for name in picture.concepts}):
        raise TrainingInputError(
            f"concept {name} is in no picture; list it for a picture that shows it or leave it out"
        )


def _check_caption(picture: PictureSpec) -> None:
    if picture.caption is None:
        return
    rest = picture.caption
    for name in picture.concepts:
        if picture.caption.count(f"{{{name}}}") != 1:
            raise TrainingInputError(
                f"{picture.path}: its caption should hold {{{name}}} once, as every concept listed for the picture"
            )
        rest = rest.replace(f"{{{name}}}", "")
    if "{" in rest or "}" in rest:
        raise TrainingInputError(f"{picture.path}: its caption names something in braces that is not listed for it")
