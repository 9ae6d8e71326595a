"""Who, what and where: the concepts of `examples/concepts.yaml`, their consent, their licence, their scenes.

The artwork is openly licensed, so the consent here is that of its rights holder; the same records carry the consent
of a person, a product's owner or a place's owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import Use
from sdk.spec.terms import AgeClass, Capacity, ConsentRecord, Evidence, LicenceGrant, UseTerms

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


def agreement_text(story: Story) -> bytes:
    """The document that the consent and the licence point to, page and clause."""
    names = " and ".join(concept.title for concept in story.concepts)
    return (
        f"Agreement on the artwork {names}.\n"
        "1. The rights holder agrees that the works are used to learn visual concepts.\n"
        "2. What is learned may be used in advertising and editorial pictures, on the web and in print, in the\n"
        "   European Union member states Germany and France, and in Japan, until the end of 2036.\n"
    ).encode()


def use_terms() -> UseTerms:
    return UseTerms(
        purposes=("advertising", "editorial"),
        territories=("DE", "FR", "JP"),
        channels=("print", "web"),
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        valid_until=datetime(2037, 1, 1, tzinfo=UTC),
    )


def consent_record(story: Story, agreement: Digest) -> ConsentRecord:
    return ConsentRecord(
        covers=tuple(concept.id for concept in story.concepts),
        subject="rights-holder-0001",
        age_class=AgeClass.NOT_A_PERSON,
        controller="Demo Studio",
        notice="https://studio.example/notices/concept-learning",
        notice_language="en",
        terms=use_terms(),
        withdrawal_method="a message to consent@studio.example",
        evidence=Evidence(document=agreement, page=1, clause="1"),
        expressed_by="rights-holder-0001",
        expressed_as=Capacity.SELF,
        expressed_on=date(2026, 1, 15),
    )


def licence_grant(story: Story, agreement: Digest) -> LicenceGrant:
    return LicenceGrant(
        covers=tuple(concept.id for concept in story.concepts),
        rights_holder="rights-holder-0001",
        capacity=Capacity.SELF,
        license="LicenseRef-demo-studio-1",
        attribution="Fluent Emoji artwork by Microsoft, MIT licence",
        terms=use_terms(),
        prohibited_uses=("political",),
        evidence=Evidence(document=agreement, page=1, clause="2"),
    )
