"""n of m by risk class, through the real registry: what a person, a minor and everything else need."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from support.database import DatabaseServer
from support.registry import RegistryUnderTest, make_test_registry
from support.versions import Steps, accepted, refused, rules_of

from registry.runtime import Runtime
from sdk.errors import ThresholdNotMet
from sdk.policy.bundle import RISK_CLASSES
from sdk.policy.cedar import CedarEngine
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import ConceptId, RecordId, parse_version_ref
from sdk.spec.manifest import ConceptKind
from sdk.spec.terms import AgeClass, Capacity
from sdk.verify import verify_version

CHILD = ConceptId("demo/child")


def consent_of_a_minor(steps: Steps, capacity: Capacity) -> tuple[RecordId]:
    steps.concept(CHILD, ConceptKind.PERSON)
    made = steps.consent(CHILD, age_class=AgeClass.MINOR, expressed_as=capacity, of_age_on=date(2035, 1, 1))
    return (RecordId(made["id"]),)


def logged_facts(registry: RegistryUnderTest, subject: str) -> dict[str, Any]:
    params = {"subject": subject, "event": "version:submitted"}
    found: dict[str, Any] = accepted(registry.client("auditor").get("/v1/log/entries", params=params))
    return dict(found["entries"][0]["entry"]["facts"])


class TestRiskClass:
    @pytest.mark.parametrize(
        ("kind", "name", "needed"), [(ConceptKind.PERSON, "person", "2"), (ConceptKind.LOGO, "standard", "1")]
    )
    def test_is_logged_with_what_it_needs(
        self, registry: RegistryUnderTest, kind: ConceptKind, name: str, needed: str
    ) -> None:
        Steps(registry).submitted(kind=kind)
        facts = logged_facts(registry, "demo/fox@1")
        assert (facts["risk_class"], facts["approvals_required"]) == (name, needed)

    def test_of_a_minor_needs_two_and_a_guardian(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(CHILD, kind=ConceptKind.PERSON, consents=consent_of_a_minor(steps, Capacity.GUARDIAN))
        assert logged_facts(registry, version.name)["risk_class"] == "minor"
        assert accepted(steps.review(version))["status"] == "in-review"
        assert accepted(steps.review(version, "second-reviewer"))["status"] == "approved"

    def test_of_a_minor_is_not_approved_on_anybody_elses_word(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(CHILD, kind=ConceptKind.PERSON, consents=consent_of_a_minor(steps, Capacity.AGENT))
        assert rules_of(refused(steps.review(version), 403, "policy.denied")) == ["approval.guardian"]

    def test_may_ask_for_more_as_the_policies_say(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url, change=three_for_everything) as registry:
            steps = Steps(registry)
            version = steps.submitted()
            for name in ("reviewer", "second-reviewer"):
                assert accepted(steps.review(version, name))["status"] == "in-review"
            assert logged_facts(registry, version.name)["approvals_required"] == "3"


def three_for_everything(runtime: Runtime) -> Runtime:
    files = {**runtime.policy_bundle.files, RISK_CLASSES: "classes: [{name: grave, approvals: 3}]"}
    bundle = replace(runtime.policy_bundle, files=files)
    return replace(runtime, policy_bundle=bundle, policy=CedarEngine(bundle))


class TestVerifier:
    def test_asks_for_two_of_a_minor_whatever_the_registry_asked(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            steps = Steps(registry)
            steps.concept(CHILD)
            version = steps.submitted(CHILD, consents=consent_of_a_minor_as_subject(steps))
            for name in ("reviewer", "second-reviewer"):
                accepted(steps.review(version, name))
            bundle = VersionBundle.model_validate(steps.get("app", version.path))
            one = bundle.model_copy(update={"approvals": bundle.approvals[:1]})
            with pytest.raises(ThresholdNotMet, match="1 of 2 reviewers"):
                verify_version(
                    one,
                    ref=parse_version_ref(str(CHILD)),
                    trust=registry.runtime.trust_root,
                    now=registry.clock.now,
                    status_list=b"",
                )


def consent_of_a_minor_as_subject(steps: Steps) -> tuple[RecordId]:
    made = steps.consent(CHILD, age_class=AgeClass.MINOR, expressed_as=Capacity.GUARDIAN, of_age_on=date(2035, 1, 1))
    return (RecordId(made["id"]),)
