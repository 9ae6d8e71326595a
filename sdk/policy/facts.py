"""From the consents and licences of a version to the facts that rules see. Pure; nothing decides here.

Several records apply together: what is granted is what all of them grant, what is prohibited is what any of them
prohibits. WORLD covers every territory. No record at all grants nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import ConceptFacts
from sdk.spec.terms import (
    WORLD,
    AgeClass,
    ConsentEvidence,
    ConsentRecord,
    ConsentStatus,
    LicenceEvidence,
    LicenceGrant,
    UseTerms,
)


def concept_facts(
    *,
    concept: ConceptId,
    number: int,
    kind: ConceptKind,
    status: str,
    owner: PrincipalId,
    trainer_of_record: PrincipalId | None,
    consents: Sequence[ConsentEvidence],
    licences: Sequence[LicenceEvidence],
    at: datetime,
) -> ConceptFacts:
    """The facts of one concept version at the moment `at`. Sets are sorted, so equal facts have equal digests."""
    records = [consent.record for consent in consents]
    grants = [licence.grant for licence in licences]
    complete = bool(records) and bool(grants)
    held: list[ConsentRecord | LicenceGrant] = [*records, *grants]
    terms = [record.terms for record in held] if complete else []
    return ConceptFacts(
        concept=concept,
        number=number,
        kind=kind,
        status=status,
        owner=owner,
        trainer_of_record=trainer_of_record,
        consent_live=bool(records) and all(_is_live(consent, at) for consent in consents),
        licence_live=bool(grants) and all(grant.terms.live_at(at) for grant in grants),
        covers_concept=complete and all(concept in record.covers for record in held),
        has_minor=any(record.age_class is AgeClass.MINOR for record in records),
        purposes=_granted_by_all([term.purposes for term in terms]),
        territories=_territories(terms),
        channels=_granted_by_all([term.channels for term in terms]),
        prohibited_uses=tuple(sorted({use for grant in grants for use in grant.prohibited_uses})),
        not_with=tuple(sorted({other for grant in grants for other in grant.not_with})),
    )


def _is_live(consent: ConsentEvidence, at: datetime) -> bool:
    return consent.status is ConsentStatus.GIVEN and consent.record.terms.live_at(at)


def _granted_by_all(grants: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(set.intersection(*map(set, grants)))) if grants else ()


def _territories(terms: Sequence[UseTerms]) -> tuple[str, ...]:
    limited = [term.territories for term in terms if WORLD not in term.territories]
    if terms and not limited:
        return (WORLD,)
    return _granted_by_all(limited)
