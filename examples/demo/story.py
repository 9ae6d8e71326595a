"""Who, what and where: the concepts, consent and licence of the files in `examples/`, and the scenes.

The artwork is openly licensed, so the consent here is that of its rights holder; the same records carry the consent
of a person, a product's owner or a place's owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sdk.spec.canonical import parse_wire
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import Use
from sdk.spec.terms import ConsentRecord, LicenceGrant

EXAMPLES = Path(__file__).resolve().parent.parent
USE = Use(purpose="advertising", territory="JP", channel="web")
FORBIDDEN_TERRITORY = "US"
SEED = 7


@dataclass(frozen=True, kw_only=True)
class LearnedConcept:
    """One concept that the demo teaches."""

    id: ConceptId
    kind: ConceptKind
    title: str
    class_word: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """The example: a subject and the place it is entangled with."""

    subject: LearnedConcept
    place: LearnedConcept
    pictures: tuple[Path, ...]

    @property
    def concepts(self) -> tuple[LearnedConcept, LearnedConcept]:
        return (self.subject, self.place)

    @property
    def together(self) -> str:
        return f"a photo of {{{self.subject.id}}} at {{{self.place.id}}}"

    @property
    def subject_elsewhere(self) -> tuple[str, ...]:
        """New scenes for the subject alone."""
        return tuple(f"a photo of {{{self.subject.id}}} {where}" for where in ("in the snow", "on grass", "at night"))

    @property
    def place_with_others(self) -> tuple[str, ...]:
        """New things at the place."""
        return tuple(f"{what} at {{{self.place.id}}}" for what in ("a red apple", "a robot", "a photo of a bear"))


def load_story(path: Path = EXAMPLES / "concepts.yaml") -> Story:
    """Read the example's concepts and pictures."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    concepts = [
        LearnedConcept(
            id=ConceptId(entry["id"]),
            kind=ConceptKind(entry["kind"]),
            title=entry["title"],
            class_word=entry["class_word"],
        )
        for entry in document["concepts"]
    ]
    subject = next(concept for concept in concepts if concept.kind is not ConceptKind.BACKGROUND)
    place = next(concept for concept in concepts if concept.kind is ConceptKind.BACKGROUND)
    pictures = tuple(path.parent / entry["file"] for entry in document["pictures"])
    return Story(subject=subject, place=place, pictures=pictures)


def agreement_text() -> bytes:
    """The document that the consent and the licence point to, page and clause."""
    return (EXAMPLES / "agreement.txt").read_bytes()


def consent_record() -> ConsentRecord:
    """The rights holder's consent for both concepts."""
    return parse_wire(ConsentRecord, (EXAMPLES / "consent.json").read_bytes(), "consent record")


def licence_grant() -> LicenceGrant:
    """The licence of the works that both concepts are learned from."""
    return parse_wire(LicenceGrant, (EXAMPLES / "licence.json").read_bytes(), "licence grant")
