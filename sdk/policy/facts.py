"""From the consents and licences of a version to the facts that rules see. Pure; nothing decides here.

Several records apply together: what is granted is what all of them grant, what is prohibited is what any of them
prohibits. WORLD covers every territory. No record at all grants nothing. A limit that no licence states is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain, PolicyPrincipal
from sdk.spec.terms import (
    WORLD,
    AgeClass,
    Capacity,
    ConsentEvidence,
    ConsentRecord,
    LicenceEvidence,
    LicenceGrant,
    UseTerms,
)

_UNSUBMITTED: Final = "unsubmitted"  # the status of what is not trained yet
_NOTHING_GRANTED: Final[Mapping[RecordId, int]] = MappingProxyType({})


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
    review_requested_by: PrincipalId | None = None,
    base_model: Digest | None = None,
    approvals: int | None = None,
    images_granted: Mapping[RecordId, int] = _NOTHING_GRANTED,
) -> ConceptFacts:
    """The facts of one concept version at the moment `at`. Sets are sorted, so equal facts have equal digests.

    `images_granted` is what was granted under each licence before; only the registry can count it.
    """
    records = [consent.record for consent in consents]
    grants = [licence.grant for licence in licences]
    minors = [record for record in records if record.age_class is AgeClass.MINOR]
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
        review_requested_by=review_requested_by,
        consent_live=bool(records) and all(consent.live_at(at) for consent in consents),
        licence_live=bool(grants) and all(grant.terms.live_at(at) for grant in grants),
        covers_concept=complete and all(concept in record.covers for record in held),
        has_minor=bool(minors),
        guardian_consent=all(map(_by_who_may, minors)) if minors else None,
        purposes=_granted_by_all([term.purposes for term in terms]),
        territories=_territories(terms),
        channels=_granted_by_all([term.channels for term in terms]),
        prohibited_uses=tuple(sorted({use for grant in grants for use in grant.prohibited_uses})),
        not_with=tuple(sorted({other for grant in grants for other in grant.not_with})),
        categories=_named_by_any([grant.categories for grant in grants]),
        exclusive_in=_named_by_any([grant.exclusive_in for grant in grants]),
        applications=_limited_by_all([grant.applications for grant in grants]),
        base_model=base_model,
        base_models=_limited_by_all([grant.base_models for grant in grants]),
        images_left=_images_left(licences, images_granted),
        approvals=approvals,
        media=_limited_by_all([record.terms.media for record in held]),
        not_with_categories=_named_by_any([grant.not_with_categories for grant in grants]),
        uses_described=True if grants and all(map(_describes_uses, grants)) else None,
    )


def training_facts(
    *,
    concept: ConceptId,
    kind: ConceptKind,
    owner: PrincipalId,
    trainer: PrincipalId,
    consents: Sequence[ConsentEvidence],
    licences: Sequence[LicenceEvidence],
    at: datetime,
) -> ConceptFacts:
    """The facts of a concept that `trainer` wants to have trained: no version of it is there yet."""
    return concept_facts(
        concept=concept,
        number=0,
        kind=kind,
        status=_UNSUBMITTED,
        owner=owner,
        trainer_of_record=trainer,
        consents=consents,
        licences=licences,
        at=at,
    )


def training_context(principal: PolicyPrincipal, concepts: Sequence[ConceptFacts], at: datetime) -> PolicyContext:
    """The question whether the principal may have the concepts trained together."""
    return PolicyContext(
        domain=PolicyDomain.TRAINING, action="train", principal=principal, concepts=tuple(concepts), at=at
    )


def _describes_uses(grant: LicenceGrant) -> bool:
    return grant.intended_uses is not None or grant.represented_by is not None


def _by_who_may(minor: ConsentRecord) -> bool:
    """Whether the consent about a minor is a guardian's, the estate's, or of the time after they came of age."""
    of_age = minor.of_age_on is not None and minor.expressed_on >= minor.of_age_on
    return of_age or minor.expressed_as in (Capacity.GUARDIAN, Capacity.ESTATE)


def _granted_by_all(grants: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(set.intersection(*map(set, grants)))) if grants else ()


def _named_by_any(named: Sequence[tuple[str, ...] | None]) -> tuple[Any, ...] | None:
    return tuple(sorted({name for names in named for name in names or ()})) or None


def _limited_by_all(limits: Sequence[tuple[str, ...] | None]) -> tuple[Any, ...] | None:
    """What every limit allows; none when nothing limits, empty when the limits have nothing in common."""
    stated = [limit for limit in limits if limit is not None]
    return _granted_by_all(stated) if stated else None


def _images_left(licences: Sequence[LicenceEvidence], granted: Mapping[RecordId, int]) -> int | None:
    left = [held.grant.max_images - granted.get(held.id, 0) for held in licences if held.grant.max_images]
    return max(0, min(left)) if left else None


def _territories(terms: Sequence[UseTerms]) -> tuple[str, ...]:
    limited = [term.territories for term in terms if WORLD not in term.territories]
    if terms and not limited:
        return (WORLD,)
    return _granted_by_all(limited)
