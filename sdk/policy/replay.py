"""Recorded decisions decided again under a proposed bundle or proposed terms: who would gain, who would lose.

Proposed terms replace one consent or licence record in the facts of every version that rests on it: what it grants,
prohibits and names. Status, term and the images left stay as they were at the moment of each decision, so that a
replay answers what the proposal changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sdk.errors import DigestMismatch, InputError
from sdk.policy.engine import PolicyEngine
from sdk.policy.facts import concept_facts
from sdk.spec.api import RecordedDecision
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.policy import ConceptFacts, Decision, PolicyContext
from sdk.spec.terms import ConsentEvidence, ConsentRecord, LicenceEvidence, LicenceGrant

_KEPT: Final = ("consent_live", "licence_live", "images_left")
ProposedTerms = Mapping[RecordId, ConsentRecord | LicenceGrant]
FetchVersion = Callable[[ConceptId, int, datetime | None], VersionBundle]
"""A version as it stood at a moment, or as it stands: before a renewal under other records than after it."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A recorded decision and what it would be."""

    recorded: RecordedDecision
    proposed: Decision

    @property
    def gains(self) -> bool:
        """Was refused, and would be permitted."""
        return self.proposed.permitted and not self.recorded.decision.permitted

    @property
    def loses(self) -> bool:
        """Was permitted, and would be refused."""
        return self.recorded.decision.permitted and not self.proposed.permitted


def replay(
    engine: PolicyEngine,
    decisions: Iterable[RecordedDecision],
    *,
    terms: ProposedTerms,
    fetch_version: FetchVersion,
) -> tuple[Replayed, ...]:
    """Decide every recorded question again by `engine`, under `terms` where a version rests on one of them.

    Raises:
        DigestMismatch: a recorded context is not the one that its decision names.
        InputError: no decision rests on some of the records that terms are proposed for.
    """
    facts = _Proposed(terms, fetch_version)
    replayed = tuple(
        Replayed(recorded=recorded, proposed=engine.evaluate(facts.under_terms(_genuine(recorded))))
        for recorded in decisions
    )
    if idle := terms.keys() - facts.used:
        raise InputError(
            f"no replayed decision rests on {', '.join(sorted(idle))}; correct the id, or replay more days"
        )
    return replayed


def _genuine(recorded: RecordedDecision) -> PolicyContext:
    if recorded.context.digest != recorded.decision.context:
        raise DigestMismatch(
            f"the decision of {recorded.generation} is about context {recorded.decision.context}, "
            f"but the registry sent {recorded.context.digest}"
        )
    return recorded.context


class _Proposed:
    """Facts of versions under proposed terms, each as it stood when it was decided about."""

    def __init__(self, terms: ProposedTerms, fetch_version: FetchVersion) -> None:
        self._terms, self._fetch = terms, fetch_version
        self._bundles: dict[tuple[ConceptId, int, datetime | None], VersionBundle] = {}
        self.used: set[RecordId] = set()  # of the proposed terms, those that a decision rests on

    def under_terms(self, context: PolicyContext) -> PolicyContext:
        if not self._terms:
            return context
        concepts = tuple(self._facts(context, held) for held in context.concepts)
        return context.model_copy(update={"concepts": concepts})

    def _facts(self, context: PolicyContext, held: ConceptFacts) -> ConceptFacts:
        bundle = self._fetched(held, None)
        if bundle.renewal:  # else it stood under the same records ever since
            bundle = self._fetched(held, context.at)
        rests_on = {consent.id for consent in bundle.consents} | {licence.id for licence in bundle.licences}
        if not (proposed_for := self._terms.keys() & rests_on):
            return held
        self.used |= proposed_for
        proposed = concept_facts(
            concept=held.concept,
            number=held.number,
            kind=held.kind,
            status=held.status,
            owner=held.owner,
            trainer_of_record=held.trainer_of_record,
            review_requested_by=held.review_requested_by,
            consents=[self._consent(consent) for consent in bundle.consents],
            licences=[self._licence(licence) for licence in bundle.licences],
            at=context.at,
            base_model=held.base_model,
            approvals=held.approvals,
        )
        return proposed.model_copy(update={name: getattr(held, name) for name in _KEPT})

    def _fetched(self, held: ConceptFacts, at: datetime | None) -> VersionBundle:
        key = (held.concept, held.number, at)
        if key not in self._bundles:
            self._bundles[key] = self._fetch(*key)
        return self._bundles[key]

    def _consent(self, held: ConsentEvidence) -> ConsentEvidence:
        record = self._terms.get(held.id)
        if not isinstance(record, ConsentRecord):
            return held
        return held.model_copy(update={"record": record, "digest": Digest.of(encode_canonical(record))})

    def _licence(self, held: LicenceEvidence) -> LicenceEvidence:
        grant = self._terms.get(held.id)
        if not isinstance(grant, LicenceGrant):
            return held
        return held.model_copy(update={"grant": grant, "digest": Digest.of(encode_canonical(grant))})
