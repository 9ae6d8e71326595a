"""Exports: a licence is well-formed ODRL 2.2, a consent receipt says in DPV what ISO/IEC TS 27560 asks for.

The shapes are those of the specifications, as far as they can be checked without a network: the terms are of the
vocabularies (or of our profile, by its prefix), and each class has the members that the information models demand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from support.governed import EVIDENCE, NOW, consent_record, licence_evidence, licence_grant, record_id, use_terms

from sdk.spec.consent_events import ConsentEventView, ConsentReceipt
from sdk.spec.digest import Digest
from sdk.spec.dpv import STATUSES, missing_fields, receipt_to_dpv
from sdk.spec.ids import TenantName
from sdk.spec.odrl import licence_to_odrl
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.terms import ConsentStatus

DEMO = TenantName("demo")
OPERATORS = {"eq", "gt", "gteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "lt", "lteq", "neq"}
LEFT_OPERANDS = {"count", "dateTime", "deliveryChannel", "industry", "media", "payAmount", "percentage", "purpose"}
LEFT_OPERANDS |= {"spatial", "timeInterval"}
ACTIONS = {"attribute", "compensate", "derive", "ensureExclusivity", "grantUse", "modify", "obtainConsent"}
DPV_TERMS = {
    *("Adult", "Child", "DataSubject", "DataController", "Recipient", "ConsentNotice", "ConsentRecord"),
    *("ConsentReceipt", "Consent", "WithdrawConsent", "Process", "Purpose", "PersonalData", "Use", "Derive"),
    *("StorageCondition", "UntilTimeDuration", "RenewedConsentGiven"),
    *("hasDataSubject", "hasDataController", "hasNotice", "hasProcess", "hasLegalBasis", "hasJurisdiction"),
    *("hasConsentControl", "hasConsentStatus", "hasPurpose", "hasProcessing", "hasPersonalData", "hasLocation"),
    *("hasDuration", "hasRecipient", "hasStorageCondition", "hasName", "hasContact", "isIndicatedBy"),
    *("hasIndicationMethod",),
} | {status.removeprefix("dpv:") for status in STATUSES.values()}
FULL_LICENCE: dict[str, Any] = {
    "prohibited_uses": ("political",),
    "not_with": ("demo/rival",),
    "not_with_categories": ("alcohol",),
    "exclusive_in": ("soft-drinks",),
    "applications": ("demo/app",),
    "base_models": (Digest.of(b"base"),),
    "max_images": 100,
    "sublicensing": "none",
    "alterations": ("crop",),
    "governing_law": "US-CA",
    "intended_uses": ("posters of the singer for the 2027 spring tour",),
    "royalty": RoyaltyTerms.model_validate(
        {
            "currency": "EUR",
            "per_image": "0.05",
            "percent_of_fee": "12.5",
            "minimum_guarantee": "250",
            "period": "quarter",
            "payee": "holder-0002",
        }
    ),
}


def odrl(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(licence_to_odrl(licence_evidence(licence_grant(**changes)), DEMO)))


def receipt(**changes: Any) -> ConsentReceipt:
    given = ConsentEventView(event="give", at=NOW, status="given", recorded_by="demo/owner")
    return ConsentReceipt(
        id=record_id("con"),
        digest=Digest.of(b"record"),
        record=consent_record(**changes),
        status=ConsentStatus.GIVEN,
        events=(given,),
        issued_at=NOW,
        issued_by="log.test/imprimatur",
    )


def constraints(node: Any) -> Iterator[dict[str, Any]]:
    """Every constraint and refinement in an ODRL document."""
    if isinstance(node, dict):
        if "leftOperand" in node:
            yield node
        for value in node.values():
            yield from constraints(value)
    elif isinstance(node, list):
        for value in node:
            yield from constraints(value)


def rules(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("permission", "prohibition", "obligation"):
        for rule in policy.get(kind, []):
            yield rule
            yield from rule.get("duty", [])


def action_of(rule: dict[str, Any]) -> str:
    action = rule["action"]
    return action if isinstance(action, str) else action[0]["rdf:value"]["@id"].removeprefix("odrl:")


class TestOdrl:
    @pytest.mark.parametrize("changes", [{}, FULL_LICENCE], ids=["plain", "full"])
    def test_is_an_agreement_of_the_information_model(self, changes: dict[str, Any]) -> None:
        policy = odrl(**changes)
        assert policy["@context"][0] == "http://www.w3.org/ns/odrl.jsonld"
        assert policy["@type"] == "Agreement"
        assert {"uid", "profile", "assigner", "assignee", "permission"} <= policy.keys()
        for rule in rules(policy):
            assert action_of(rule) in ACTIONS
        for rule in (*policy["permission"], *policy.get("prohibition", [])):
            assert rule["target"] == ["urn:imprimatur:concept:demo/fox"]

    def test_every_constraint_has_its_three_members_of_the_vocabulary(self) -> None:
        found = list(constraints(odrl(**FULL_LICENCE)))
        assert len(found) > 10
        for constraint in found:
            assert {"leftOperand", "operator", "rightOperand"} <= constraint.keys()
            assert constraint["operator"] in OPERATORS
            assert constraint["leftOperand"] in LEFT_OPERANDS or constraint["leftOperand"].startswith("imp:")

    def test_says_what_the_licence_says(self) -> None:
        policy = odrl(**FULL_LICENCE)
        said = {constraint["leftOperand"]: constraint for constraint in constraints(policy["permission"])}
        assert said["count"]["rightOperand"] == {"@value": "100", "@type": "xsd:integer"}
        assert said["spatial"]["rightOperand"] == [
            {"@id": f"https://w3id.org/dpv/loc#{place}"} for place in ("DE", "JP")
        ]
        paid = {rule["imp:basis"]["@id"]: rule for rule in rules(policy) if "imp:basis" in rule}
        assert paid.keys() == {"imp:perImage", "imp:ofFee", "imp:minimumGuarantee"}
        amount = paid["imp:perImage"]["action"][0]["refinement"][0]
        assert (amount["rightOperand"]["@value"], amount["unit"]) == ("0.05", "imp:currency-EUR")
        assert {action_of(rule) for rule in policy["prohibition"]} == {"derive", "modify", "grantUse"}
        assert policy["imp:governingLaw"] == "US-CA"

    def test_the_whole_world_is_no_limit(self) -> None:
        operands = {each["leftOperand"] for each in constraints(odrl(terms=use_terms(territories=("WORLD",))))}
        assert "spatial" not in operands

    def test_every_prefix_is_declared(self) -> None:
        policy = odrl(**FULL_LICENCE)
        used = set(re.findall(r'"([a-z]+):[A-Za-z]', json.dumps({**policy, "@context": None})))
        assert used - {"http", "https", "urn"} <= {*policy["@context"][1], "odrl", "rdf"}


class TestDpv:
    FULL: dict[str, Any] = {
        "age_class": "adult",
        "vital_status": "living",
        "legal_basis": "consent",
        "jurisdiction": "DE",
        "personal_data": ("face", "voice"),
        "recipients": ("agency-0001",),
        "stored_in": ("DE",),
        "retained_until": date(2030, 1, 1),
        "controller_contact": "consent@studio.example",
        "notice_document": EVIDENCE.document,
        "expressed_through": "signature",
    }

    def test_has_every_field_that_the_standard_makes_mandatory(self) -> None:
        document = receipt_to_dpv(receipt(**self.FULL))
        record = document["dct:hasPart"]
        assert {"dct:conformsTo", "dct:identifier", "dct:issued"} <= document.keys()
        assert {
            *("dct:conformsTo", "dct:identifier", "dpv:hasDataSubject", "dpv:hasDataController", "dpv:hasNotice"),
            *("dpv:hasProcess", "dpv:hasLegalBasis", "dpv:hasJurisdiction", "dpv:hasConsentControl"),
            *("dpv:hasConsentStatus", "imp:event"),
        } <= record.keys()
        assert {
            *("dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasLocation", "dpv:hasDuration", "dpv:hasRecipient"),
            "dpv:hasStorageCondition",
        } <= record["dpv:hasProcess"].keys()
        assert {"dct:source", "dct:language"} <= record["dpv:hasNotice"].keys()
        assert {"dpv:hasName", "dpv:hasContact"} <= record["dpv:hasDataController"].keys()
        [event] = record["imp:event"]
        assert {"dct:date", "dpv:hasConsentStatus", "dpv:isIndicatedBy", "dpv:hasIndicationMethod"} <= event.keys()
        assert missing_fields(receipt(**self.FULL).record) == ()

    def test_every_term_is_of_the_vocabulary(self) -> None:
        text = json.dumps(receipt_to_dpv(receipt(**self.FULL)))
        assert set(re.findall(r'"dpv:(\w+)"', text)) <= DPV_TERMS

    def test_what_a_record_does_not_state_is_left_out_and_named(self) -> None:
        document = receipt_to_dpv(receipt())
        assert "dpv:hasJurisdiction" not in document["dct:hasPart"]
        assert set(missing_fields(receipt().record)) == {
            *("legal_basis", "jurisdiction", "personal_data", "recipients", "stored_in", "retained_until"),
        }

    def test_every_status_has_a_term(self) -> None:
        assert STATUSES.keys() == set(ConsentStatus)
