"""A licence as a W3C ODRL 2.2 Agreement in JSON-LD (ODRL Information Model and Vocabulary, 15 February 2018).

What ODRL's own vocabulary can say is said with it; the rest is in a profile of ours, `PROFILE`, whose terms are marked
`imp:`. ODRL is for exchange: decisions are made by the policy rules, from the licence itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sdk.spec.ids import TenantName
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms
from sdk.spec.terms import WORLD, LicenceEvidence, LicenceGrant, Sublicensing, UseTerms

CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
PROFILE: Final = "https://imprimatur.dev/ns/odrl"
PLACE: Final = "https://w3id.org/dpv/loc#"  # countries by ISO 3166-1 alpha-2
_PREFIXES: Final = {
    "imp": f"{PROFILE}#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_PERIODS: Final = {
    RoyaltyPeriod.MONTH: "P1M",
    RoyaltyPeriod.QUARTER: "P3M",
    RoyaltyPeriod.YEAR: "P1Y",
}
Json = dict[str, Any]


def licence_to_odrl(held: LicenceEvidence, tenant: TenantName) -> Json:
    """The Agreement between the rights holder and `tenant` that the licence is."""
    grant = held.grant
    agreement: Json = {
        "@context": [CONTEXT, _PREFIXES],
        "@type": "Agreement",
        "uid": f"urn:imprimatur:licence:{held.id}",
        "profile": PROFILE,
        "dct:license": grant.license,
        "dct:source": f"urn:{held.digest}",
        "assigner": _party(grant.rights_holder),
        "assignee": f"urn:imprimatur:tenant:{tenant}",
        "permission": [_permission(grant)],
    }
    if prohibitions := _prohibitions(grant):
        agreement["prohibition"] = prohibitions
    if grant.intended_uses:
        agreement["dct:description"] = list(grant.intended_uses)
    if grant.governing_law:
        agreement["imp:governingLaw"] = grant.governing_law
    return agreement


def use_constraints(terms: UseTerms) -> list[Json]:
    """Purposes, places, channels, media and term as ODRL constraints, all of which must hold."""
    constraints = [
        _any_of("purpose", (f"imp:purpose-{purpose}" for purpose in terms.purposes)),
        _any_of("deliveryChannel", (f"imp:channel-{channel}" for channel in terms.channels)),
        _moment("gteq", terms.valid_from),
        _moment("lt", terms.valid_until),
    ]
    if WORLD not in terms.territories:
        constraints.append(_any_of("spatial", (PLACE + place for place in terms.territories)))
    if terms.media:
        constraints.append(_any_of("media", (f"imp:medium-{medium.value}" for medium in terms.media)))
    return constraints


def _permission(grant: LicenceGrant) -> Json:
    constraints = use_constraints(grant.terms)
    if grant.max_images is not None:
        constraints.append({"leftOperand": "count", "operator": "lteq", "rightOperand": _number(grant.max_images)})
    if grant.applications:
        constraints.append(
            _any_of("imp:application", (f"urn:imprimatur:principal:{name}" for name in grant.applications))
        )
    if grant.base_models:
        constraints.append(_any_of("imp:baseModel", (f"urn:{model}" for model in grant.base_models)))
    duties: list[Json] = [{"action": "attribute", "imp:attribution": grant.attribution}]
    duties += _compensation(grant.royalty) if grant.royalty else []
    if grant.exclusive_in:
        industries = _any_of("industry", (f"imp:category-{name}" for name in grant.exclusive_in))
        duties.append({"action": "ensureExclusivity", "constraint": [industries]})
    if grant.sublicensing is Sublicensing.WITH_APPROVAL:
        duties.append({"action": "obtainConsent", "imp:before": "grantUse"})
    return {"target": _targets(grant), "action": "derive", "constraint": constraints, "duty": duties}


def _compensation(royalty: RoyaltyTerms) -> list[Json]:
    amounts = {
        "imp:perImage": (royalty.per_image, "eq", "payAmount"),
        "imp:ofFee": (royalty.percent_of_fee, "eq", "percentage"),
        "imp:minimumGuarantee": (royalty.minimum_guarantee, "gteq", "payAmount"),
    }
    return [
        _pays(royalty, str(amount), operator, operand, basis)
        for basis, (amount, operator, operand) in amounts.items()
        if amount
    ]


def _pays(royalty: RoyaltyTerms, amount: str, operator: str, operand: str, basis: str) -> Json:
    refinement: Json = {"leftOperand": operand, "operator": operator, "rightOperand": _decimal(amount)}
    if operand == "payAmount":
        refinement["unit"] = f"imp:currency-{royalty.currency}"
    duty: Json = {
        "action": [{"rdf:value": {"@id": "odrl:compensate"}, "refinement": [refinement]}],
        "imp:basis": {"@id": basis},
    }
    if royalty.payee:
        duty["compensatedParty"] = _party(royalty.payee)
    if royalty.period in _PERIODS:
        every = {"@value": _PERIODS[royalty.period], "@type": "xsd:duration"}
        duty["constraint"] = [{"leftOperand": "timeInterval", "operator": "eq", "rightOperand": every}]
    return duty


def _prohibitions(grant: LicenceGrant) -> list[Json]:
    targets = _targets(grant)
    apart = [f"urn:imprimatur:concept:{name}" for name in grant.not_with]
    apart += [f"imp:category-{name}" for name in grant.not_with_categories or ()]
    rules: list[Json] = []
    if grant.prohibited_uses:
        uses = _any_of("purpose", (f"imp:purpose-{name}" for name in grant.prohibited_uses))
        shown = _any_of("deliveryChannel", (f"imp:channel-{name}" for name in grant.prohibited_uses))
        rules += [{"target": targets, "action": "derive", "constraint": [each]} for each in (uses, shown)]
    if apart:
        beside = _any_of("imp:coAppearance", apart)
        rules.append({"target": targets, "action": "derive", "constraint": [beside]})
    if grant.alterations:
        done = _any_of("imp:alteration", (f"imp:alteration-{each.value}" for each in grant.alterations))
        rules.append({"target": targets, "action": "modify", "constraint": [done]})
    if grant.sublicensing is Sublicensing.NONE:
        rules.append({"target": targets, "action": "grantUse"})
    return rules


def _targets(grant: LicenceGrant) -> list[str]:
    return [f"urn:imprimatur:concept:{concept}" for concept in grant.covers]


def _party(pseudonym: str) -> Json:
    return {"@type": "Party", "uid": "urn:imprimatur:pseudonym", "dct:identifier": pseudonym}


def _any_of(operand: str, values: Iterable[str]) -> Json:
    return {"leftOperand": operand, "operator": "isAnyOf", "rightOperand": [{"@id": value} for value in values]}


def _moment(operator: str, moment: datetime) -> Json:
    value = {"@value": moment.isoformat().replace("+00:00", "Z"), "@type": "xsd:dateTime"}
    return {"leftOperand": "dateTime", "operator": operator, "rightOperand": value}


def _number(value: int) -> Json:
    return {"@value": str(value), "@type": "xsd:integer"}


def _decimal(value: str) -> Json:
    return {"@value": value, "@type": "xsd:decimal"}
