"""Runs every case of `policies/*/cases.yaml` against the shipped rules. Adding a case needs no code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.spec.policy import ConceptFacts, Effect, PolicyContext, PolicyDomain, PolicyPrincipal

POLICIES = Path(__file__).resolve().parents[2] / "policies"
ENGINE = CedarEngine(load_bundle(POLICIES))
FILES = {domain: yaml.safe_load((POLICIES / domain.value / "cases.yaml").read_text("utf-8")) for domain in PolicyDomain}
CASES = [
    pytest.param(domain, file["given"], case, id=f"{domain.value}: {case['case']}")
    for domain, file in FILES.items()
    for case in file["cases"]
]


def context_of(domain: PolicyDomain, given: dict[str, Any], case: dict[str, Any]) -> PolicyContext:
    known = given.get("concepts", {})
    concepts = []
    for name, changes in case.get("concepts", known).items():
        base = known.get(changes.get("like", name), {})
        own = {key: value for key, value in changes.items() if key != "like"}
        concepts.append(ConceptFacts.model_validate({**base, **own, "concept": name}))
    return PolicyContext(
        domain=domain,
        action=case.get("action", given["action"]),
        principal=PolicyPrincipal.model_validate(case.get("who", given["who"])),
        concepts=tuple(concepts),
        use=case.get("use", given.get("use")),
        at=datetime(2026, 11, 24, tzinfo=UTC),
    )


@pytest.mark.parametrize(("domain", "given", "case"), CASES)
def test_case(domain: PolicyDomain, given: dict[str, Any], case: dict[str, Any]) -> None:
    decision = ENGINE.evaluate(context_of(domain, given, case))
    assert decision.effect == Effect(case["answer"]), decision.reasons
    if decision.effect is Effect.DENY:
        assert [reason.rule for reason in decision.reasons] == case["because"]


@pytest.mark.parametrize("domain", list(PolicyDomain))
def test_every_prohibition_is_the_only_reason_of_some_case(domain: PolicyDomain) -> None:
    alone = {case["because"][0] for case in FILES[domain]["cases"] if len(case.get("because", ())) == 1}
    assert alone == {rule.id for rule in ENGINE.rules(domain) if rule.effect is Effect.DENY}
