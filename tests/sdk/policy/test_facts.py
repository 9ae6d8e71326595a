"""Tests of sdk.policy.facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.governed import FOX, NOW, consent_evidence, consent_record, licence_evidence, licence_grant, use_terms

from sdk.policy.facts import concept_facts
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import ConceptFacts
from sdk.spec.terms import AgeClass, ConsentEvidence, ConsentStatus, LicenceEvidence

CONSENT = consent_evidence()
LICENCE = licence_evidence()


def facts(
    consents: tuple[ConsentEvidence, ...] = (CONSENT,),
    licences: tuple[LicenceEvidence, ...] = (LICENCE,),
    **changes: Any,
) -> ConceptFacts:
    return concept_facts(
        **{
            "concept": FOX,
            "number": 1,
            "kind": ConceptKind.SUBJECT,
            "status": "approved",
            "owner": PrincipalId("demo/owner"),
            "trainer_of_record": None,
            "consents": consents,
            "licences": licences,
            "at": NOW,
        }
        | changes
    )


def licence_with(**changes: Any) -> LicenceEvidence:
    return licence_evidence(licence_grant(terms=use_terms(**changes)))


class TestLiveness:
    def test_live_when_given_and_inside_the_term(self) -> None:
        assert (facts().consent_live, facts().licence_live) == (True, True)

    def test_consent_not_live_when_withdrawn(self) -> None:
        withdrawn = CONSENT.model_copy(update={"status": ConsentStatus.WITHDRAWN})
        assert not facts((CONSENT, withdrawn)).consent_live

    @pytest.mark.parametrize("span", [(1, 2), (-2, -1), (-1, 0)])
    def test_consent_not_live_outside_its_term(self, span: tuple[int, int]) -> None:
        first, last = (NOW + timedelta(days=days) for days in span)
        late = consent_evidence(consent_record(terms=use_terms(valid_from=first, valid_until=last)))
        assert not facts((CONSENT, late)).consent_live
        assert facts((CONSENT, late)).licence_live

    def test_licence_not_live_outside_its_term(self) -> None:
        over = licence_with(valid_until=NOW)
        assert not facts(licences=(LICENCE, over)).licence_live
        assert facts(licences=(LICENCE, over)).consent_live

    def test_no_record_is_not_live_and_grants_nothing(self) -> None:
        for nothing in (facts(consents=()), facts(licences=())):
            assert not nothing.covers_concept
            assert (nothing.purposes, nothing.territories, nothing.channels) == ((), (), ())
        assert not facts(consents=()).consent_live
        assert not facts(licences=()).licence_live


class TestCoverage:
    def test_every_record_must_name_the_concept(self) -> None:
        other = ConceptId("demo/other")
        assert facts().covers_concept
        assert not facts((CONSENT, consent_evidence(consent_record(other)))).covers_concept
        assert not facts(licences=(LICENCE, licence_evidence(licence_grant(other)))).covers_concept


class TestGrants:
    def test_only_what_all_records_grant_is_granted(self) -> None:
        narrow = licence_with(purposes=("editorial",), territories=("JP",), channels=("web", "outdoor"))
        both = facts(licences=(LICENCE, narrow))
        assert (both.purposes, both.territories, both.channels) == (("editorial",), ("JP",), ("web",))

    @pytest.mark.parametrize(
        ("consent", "licence", "granted"),
        [
            (("WORLD",), ("DE", "JP"), ("DE", "JP")),
            (("JP",), ("WORLD",), ("JP",)),
            (("WORLD",), ("WORLD",), ("WORLD",)),
            (("JP", "WORLD"), ("DE",), ("DE",)),
            (("JP",), ("DE",), ()),
        ],
    )
    def test_world_covers_every_territory(
        self, consent: tuple[str, ...], licence: tuple[str, ...], granted: tuple[str, ...]
    ) -> None:
        record = consent_evidence(consent_record(terms=use_terms(territories=consent)))
        assert facts((record,), (licence_with(territories=licence),)).territories == granted

    def test_what_any_licence_prohibits_is_prohibited(self) -> None:
        first = licence_evidence(licence_grant(prohibited_uses=("tobacco",), not_with=(ConceptId("demo/b"),)))
        second = licence_evidence(licence_grant(prohibited_uses=("adult",), not_with=(ConceptId("demo/a"),)))
        both = facts(licences=(first, second))
        assert both.prohibited_uses == ("adult", "tobacco")
        assert both.not_with == ("demo/a", "demo/b")

    def test_equal_whatever_the_order_of_the_records(self) -> None:
        narrow = licence_with(purposes=("editorial", "advertising"))
        assert facts(licences=(LICENCE, narrow)) == facts(licences=(narrow, LICENCE))

    def test_a_minor_in_any_consent_counts(self) -> None:
        minor = consent_evidence(consent_record(age_class=AgeClass.MINOR))
        assert facts((CONSENT, minor)).has_minor
        assert not facts().has_minor


class TestLimits:
    def limit(self, name: str = "a", **changes: Any) -> LicenceEvidence:
        return licence_evidence(licence_grant(**changes), name)

    def test_that_no_licence_states_are_absent_and_change_no_digest(self) -> None:
        plain = facts()
        assert (plain.applications, plain.base_models, plain.images_left) == (None, None, None)
        assert (plain.categories, plain.exclusive_in) == (None, None)
        assert not {"applications", "images_left"} & plain.model_dump(exclude_none=True).keys()

    def test_of_several_licences_are_what_all_allow(self) -> None:
        first = self.limit(applications=(PrincipalId("demo/app"), PrincipalId("demo/shop")))
        second = self.limit("b", applications=(PrincipalId("demo/shop"),))
        assert facts(licences=(first, LICENCE)).applications == ("demo/app", "demo/shop")
        assert facts(licences=(first, second)).applications == ("demo/shop",)

    def test_with_nothing_in_common_allow_nothing(self) -> None:
        one, other = Digest.of(b"one"), Digest.of(b"other")
        held = (self.limit(base_models=(one,)), self.limit("b", base_models=(other,)))
        assert facts(licences=held).base_models == ()

    def test_categories_are_those_of_any_licence(self) -> None:
        held = (self.limit(categories=("drinks",), exclusive_in=("drinks",)), self.limit("b", categories=("cars",)))
        assert facts(licences=held).categories == ("cars", "drinks")
        assert facts(licences=held).exclusive_in == ("drinks",)

    def test_images_left_are_those_of_the_tightest_licence(self) -> None:
        wide, tight = self.limit(max_images=100), self.limit("b", max_images=10)
        assert facts(licences=(wide, tight)).images_left == 10
        assert facts(licences=(wide, tight), images_granted={wide.id: 95}).images_left == 5
        assert facts(licences=(wide, tight), images_granted={tight.id: 12}).images_left == 0
