"""What differs between two versions of a concept. Pure: what they are and rest on in, a list of changes out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sdk.spec.ids import RecordId
from sdk.spec.manifest import ConceptManifest


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A version as it stands: its manifest, and the records that it rests on, which a renewal may have replaced."""

    manifest: ConceptManifest
    consents: tuple[RecordId, ...]
    licences: tuple[RecordId, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference; `what` is a word of the catalogue."""

    what: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def changes_between(earlier: Standing, later: Standing) -> tuple[Change, ...]:
    """The differences a reviewer looks for, in the order of how much they matter."""
    before, after = earlier.manifest, later.manifest
    return (
        *_set_change("consents", earlier.consents, later.consents),
        *_set_change("licences", earlier.licences, later.licences),
        *_value_change("base-model", before.base_model, after.base_model),
        *_set_change("pictures", before.training.pictures, after.training.pictures),
        *_set_change("learned-with", before.training.learned_with, after.training.learned_with),
        *_value_change("trainer", before.training.requested_by, after.training.requested_by),
        *_value_change("class-word", before.embedding.class_word, after.embedding.class_word),
        *_value_change("vectors", before.embedding.vectors, after.embedding.vectors),
        *_value_change("rounds", before.training.rounds, after.training.rounds),
        *_value_change("steps", before.training.steps, after.training.steps),
        *_value_change("seed", before.training.seed, after.training.seed),
        *_value_change("config", before.training.config, after.training.config),
        *_value_change("software", before.training.software, after.training.software),
        *_set_change("files", _files(before), _files(after)),
    )


def _value_change(what: str, before: object, after: object) -> Iterator[Change]:
    if before != after:
        yield Change(what=what, before=(str(before),), after=(str(after),))


def _set_change(what: str, before: Collection[str], after: Collection[str]) -> Iterator[Change]:
    gone = tuple(item for item in before if item not in after)
    new = tuple(item for item in after if item not in before)
    if gone or new:
        yield Change(what=what, before=gone, after=new)


def _files(manifest: ConceptManifest) -> tuple[str, ...]:
    return tuple(f"{artefact.name} {artefact.digest}" for artefact in manifest.artefacts)
