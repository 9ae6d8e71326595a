"""Refused attempts, as the person whom a concept is about may read them: who tried what with it, when, and which rule
refused it.

A reader who works for the tenant sees all concepts of an attempt. A subject sees those that their consents cover: of
the others in the same attempt they learn the number and nothing else, neither their names nor the rules about them.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field, field_validator

from sdk.spec.api import Moment
from sdk.spec.canonical import WireModel
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.paging import Page, PageQuery
from sdk.spec.policy import Use


class DeniedAct(StrEnum):
    """What was tried."""

    TRAIN = "train"
    COMPOSE = "compose"
    APPROVE = "approve"
    REJECT = "reject"
    REINSTATE = "reinstate"
    REVOKE = "revoke"
    BREAK_GLASS = "break_glass"
    RENEW = "renew"
    REJECT_RENEWAL = "reject_renewal"


class DenialAbout(StrEnum):
    """What a rule refused the attempt for."""

    CONCEPT = "concept"  # one of those that the reader may know
    CALLER = "caller"  # who tried it
    OTHER = "other"  # another concept in the same attempt; which rule is not said


class DenialQuery(PageQuery):
    """Which refused attempts are asked for."""

    concept: ConceptId | None = None
    since: Moment | None = None
    until: Moment | None = None  # not included


class DeniedRule(WireModel):
    """A rule that refused; its words are those of the policies in force now, absent when they have it no more."""

    about: DenialAbout
    rule: str | None = None
    plain: str | None = None
    plain_ja: str | None = None


class DeniedAttempt(WireModel):
    """One refused attempt. `log_index` is where the log has it."""

    log_index: int
    at: AwareDatetime
    act: DeniedAct
    by: PrincipalId
    concepts: tuple[str, ...]  # tenant/name@number, that the reader may know; tenant/name of a training
    others: int = 0  # further concepts in the same attempt
    use: Use | None = None  # that it was for
    images: int | None = None  # that were asked for
    rules: tuple[DeniedRule, ...]


class DenialPage(Page):
    """Refused attempts, newest first."""

    denials: tuple[DeniedAttempt, ...]


class WantedConcept(WireModel):
    """A concept that somebody wanted to have trained, and what they gave as consent and licence."""

    concept: ConceptId
    consents: tuple[RecordId, ...] = ()
    licences: tuple[RecordId, ...] = ()


class WantedTraining(WireModel):
    """A training that the caller asked for; the registry decides itself whether its policies refuse it."""

    concepts: tuple[WantedConcept, ...] = Field(min_length=1, max_length=16)

    @field_validator("concepts")
    @classmethod
    def _named_once(cls, concepts: tuple[WantedConcept, ...]) -> tuple[WantedConcept, ...]:
        if len({wanted.concept for wanted in concepts}) != len(concepts):
            raise ValueError("a concept is named twice")
        return concepts


class TrainingDenied(WireModel):
    """Where the log has the refusal: an entry for each concept."""

    log_indices: tuple[int, ...]
