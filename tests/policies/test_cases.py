"""Runs every case of `policies/*/cases.yaml` against the shipped rules. Adding a case needs no code."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.policy.bundle import load_bundle
from sdk.policy.cases import PolicyCase, load_cases
from sdk.policy.cedar import CedarEngine
from sdk.spec.policy import Effect, PolicyDomain

POLICIES = Path(__file__).resolve().parents[2] / "policies"
ENGINE = CedarEngine(load_bundle(POLICIES))
CASES = load_cases(POLICIES)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.domain.value}: {case.name}") for case in CASES])
def test_case(case: PolicyCase) -> None:
    decision = ENGINE.evaluate(case.context)
    assert decision.effect is case.answer, decision.reasons
    if decision.effect is Effect.DENY:
        assert tuple(reason.rule for reason in decision.reasons) == case.because


@pytest.mark.parametrize("domain", list(PolicyDomain))
def test_every_prohibition_is_the_only_reason_of_some_case(domain: PolicyDomain) -> None:
    alone = {case.because[0] for case in CASES if case.domain is domain and len(case.because) == 1}
    assert alone == {rule.id for rule in ENGINE.rules(domain) if rule.effect is Effect.DENY}
