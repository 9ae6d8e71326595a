"""What several concepts may be used for together: the intersection of their terms. Pure; nothing decides here.

    terms = joint_terms((fox, shrine))
    terms.purposes, terms.territories, terms.apart      # what a picture of both may be for, where; who keeps whom away

The policy engine asks about every concept of a picture with the others in view; what it permits lies inside these terms,
and whoever plans a picture reads them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.policy import ConceptFacts
from sdk.spec.terms import WORLD, Medium


@dataclass(frozen=True, kw_only=True)
class JointTerms:
    """The terms of one picture of several concepts. A limit that nothing states is none."""

    purposes: tuple[str, ...]  # granted by all, prohibited by none
    territories: tuple[str, ...]
    channels: tuple[str, ...]
    media: tuple[str, ...] | None
    applications: tuple[PrincipalId, ...] | None
    images_left: int | None
    apart: tuple[tuple[ConceptId, str], ...]  # who keeps what away: another concept of the picture, or a category

    @property
    def usable(self) -> bool:
        """Whether any use at all is left."""
        limits = (self.purposes, self.territories, self.channels)
        drawn = self.media is None or Medium.IMAGE in self.media
        named = self.applications is None or bool(self.applications)
        return all(limits) and drawn and named and self.images_left != 0 and not self.apart


def joint_terms(facts: Sequence[ConceptFacts]) -> JointTerms:
    """The terms under which all of these may appear in one picture; of none at all when nothing is named."""
    prohibited = {use for held in facts for use in held.prohibited_uses}
    return JointTerms(
        purposes=_granted_by_all([held.purposes for held in facts], prohibited),
        territories=_territories(facts),
        channels=_granted_by_all([held.channels for held in facts], prohibited),
        media=_limited([held.media for held in facts]),
        applications=_limited([held.applications for held in facts]),
        images_left=min((held.images_left for held in facts if held.images_left is not None), default=None),
        apart=tuple(pair for held in facts for pair in _kept_apart(held, facts)),
    )


def _kept_apart(held: ConceptFacts, facts: Sequence[ConceptFacts]) -> list[tuple[ConceptId, str]]:
    others = [other for other in facts if other.concept != held.concept]
    beside = {str(other.concept) for other in others}
    shown = {category for other in others for category in other.categories or ()}
    away = beside & set(held.not_with) | shown & {*(held.not_with_categories or ()), *(held.exclusive_in or ())}
    return [(held.concept, name) for name in sorted(away)]


def _granted_by_all(granted: Sequence[Sequence[str]], prohibited: set[str]) -> tuple[str, ...]:
    return tuple(sorted(set.intersection(*map(set, granted)) - prohibited)) if granted else ()


def _territories(facts: Sequence[ConceptFacts]) -> tuple[str, ...]:
    limited = [held.territories for held in facts if WORLD not in held.territories]
    if facts and not limited:
        return (WORLD,)
    return _granted_by_all(limited, set())


def _limited(limits: Sequence[Sequence[Any] | None]) -> tuple[Any, ...] | None:
    stated = [limit for limit in limits if limit is not None]
    return _granted_by_all(stated, set()) if stated else None
