"""The question that a compose call puts to policy, from verified versions. The registry asks itself the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sdk.policy.facts import concept_facts
from sdk.spec.ids import RecordId
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain, PolicyPrincipal, Use
from sdk.verify import VerifiedVersion


def composition_context(
    asker: PolicyPrincipal,
    versions: Sequence[VerifiedVersion],
    use: Use,
    *,
    count: int,
    at: datetime,
    images_granted: Mapping[RecordId, int] | None = None,
) -> PolicyContext:
    """May `asker` compose `count` pictures of `versions` together for `use` at the moment `at`?

    `images_granted` under each licence so far is the registry's to count; a compose call leaves it to the decision of
    record.
    """
    return PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=asker,
        concepts=tuple(version_facts(version, at, images_granted or {}) for version in versions),
        use=use,
        count=count,
        at=at,
    )


def version_facts(version: VerifiedVersion, at: datetime, images_granted: Mapping[RecordId, int]) -> ConceptFacts:
    """What policies may know of a version at the moment `at`."""
    bundle = version.bundle
    return concept_facts(
        concept=bundle.concept,
        number=bundle.number,
        kind=version.manifest.kind,
        status=bundle.status.value,
        owner=bundle.owner,
        trainer_of_record=version.manifest.training.requested_by,
        review_requested_by=version.requester,
        consents=bundle.consents,
        licences=bundle.licences,
        at=at,
        base_model=version.manifest.base_model,
        approvals=len(version.approvers or bundle.approvals),  # of a submission they are claimed, not verified
        images_granted=images_granted,
    )
