"""Where a fact of a concept is written: the consents and licences behind it, each with document, page and clause.

Which records grant what is arithmetic of `sdk.policy.facts`; here the records are named that a fact rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sdk.spec.ids import RecordId
from sdk.spec.terms import ConsentEvidence, ConsentRecord, Evidence, LicenceEvidence, LicenceGrant


@dataclass(frozen=True, kw_only=True)
class Source:
    """What one record says of a fact."""

    kind: str  # consent or licence
    id: RecordId
    says: str
    evidence: Evidence

    def __str__(self) -> str:
        at = self.evidence
        document = f"{at.document.hex[:12]}"
        return f"{self.kind} {self.id} says {self.says} (document {document}, p. {at.page} s. {at.clause})"


_BOTH: Final[dict[str, Callable[[ConsentRecord | LicenceGrant], str]]] = {
    "resource.purposes": lambda record: _listed(record.terms.purposes),
    "resource.territories": lambda record: _listed(record.terms.territories),
    "resource.channels": lambda record: _listed(record.terms.channels),
    "resource.media": lambda record: _listed(record.terms.media or ("any medium",)),
    "resource.covers_concept": lambda record: _listed(record.covers),
}
_CONSENT: Final[dict[str, Callable[[ConsentEvidence], str]]] = {
    "resource.consent_live": lambda consent: f"{consent.status.value}, {_term(consent.record)}",
    "resource.has_minor": lambda consent: consent.record.age_class.value,
}
_LICENCE: Final[dict[str, Callable[[LicenceEvidence], str]]] = {
    "resource.licence_live": lambda licence: _term(licence.grant),
    "resource.prohibited_uses": lambda licence: f"never for {_listed(licence.grant.prohibited_uses)}",
    "resource.not_with": lambda licence: f"never with {_listed(licence.grant.not_with)}",
    "resource.categories": lambda licence: f"it is {_listed(licence.grant.categories or ())}",
    "resource.exclusive_in": lambda licence: f"alone among {_listed(licence.grant.exclusive_in or ())}",
    "resource.not_with_categories": lambda licence: f"never with {_listed(licence.grant.not_with_categories or ())}",
    "resource.uses_described": lambda licence: _listed(licence.grant.intended_uses or ("no intended use",)),
    "resource.applications": lambda licence: f"for {_listed(licence.grant.applications or ('any application',))}",
    "resource.base_models": lambda licence: f"on {_listed(licence.grant.base_models or ('any base model',))}",
    "resource.images_left": lambda licence: f"at most {licence.grant.max_images or 'any number of'} images",
}


def sources_of(
    fact: str, consents: Sequence[ConsentEvidence], licences: Sequence[LicenceEvidence]
) -> tuple[Source, ...]:
    """What each record says of the fact called e.g. `resource.territories`; none when no record speaks of it."""
    both, of_consent, of_licence = _BOTH.get(fact), _CONSENT.get(fact), _LICENCE.get(fact)
    found = [
        Source(kind="consent", id=held.id, says=says, evidence=held.record.evidence)
        for held in consents
        if (says := both(held.record) if both else of_consent(held) if of_consent else "")
    ]
    found += [
        Source(kind="licence", id=held.id, says=says, evidence=held.grant.evidence)
        for held in licences
        if (says := both(held.grant) if both else of_licence(held) if of_licence else "")
    ]
    return tuple(found)


def _term(record: ConsentRecord | LicenceGrant) -> str:
    return f"{record.terms.valid_from:%Y-%m-%d} until {record.terms.valid_until:%Y-%m-%d}"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "nothing"
