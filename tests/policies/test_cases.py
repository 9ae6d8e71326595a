"""Runs every case of `policies/*/cases.yaml` against the shipped rules. Adding a case needs no code."""

from __future__ import annotations

import re
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
    if decision.effect is Effect.DENY or case.because:
        assert tuple(reason.rule for reason in decision.reasons) == case.because


@pytest.mark.parametrize("domain", list(PolicyDomain))
def test_every_prohibition_is_the_only_reason_of_some_case(domain: PolicyDomain) -> None:
    alone = {case.because[0] for case in CASES if case.domain is domain and len(case.because) == 1}
    assert alone == {rule.id for rule in ENGINE.rules(domain) if rule.effect is Effect.DENY}


JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.mark.parametrize("domain", list(PolicyDomain))
def test_every_rule_says_what_it_is_in_english_and_in_japanese(domain: PolicyDomain) -> None:
    for rule in ENGINE.rules(domain):
        assert rule.title
        assert re.fullmatch(r"[A-Z][ -~]+\.", rule.plain), rule.id
        assert JAPANESE.search(rule.plain_ja), rule.id
        assert rule.plain_ja.endswith("。"), rule.id


def test_no_two_rules_say_the_same() -> None:
    rules = [rule for domain in PolicyDomain for rule in ENGINE.rules(domain)]
    for domain in PolicyDomain:
        plain = [rule.plain for rule in ENGINE.rules(domain)] + [rule.plain_ja for rule in ENGINE.rules(domain)]
        assert len(set(plain)) == len(plain)
    assert len({rule.id for rule in rules}) == len(rules)


ISSUE = {  # what the product's owner asked of the shipped rules, and the rules that do it
    "approved only": "composition.approved-only",
    "live consent": "composition.consent",
    "purpose": "composition.purpose",
    "territory": "composition.territory",
    "channel": "composition.channel",
    "term": "composition.licence",
    "units": "composition.quota",
    "application": "composition.application",
    "minors": "composition.minor",
    "prohibited uses": "composition.prohibited-use",
    "co-appearance": "composition.not-together",
    "category exclusivity": "composition.category-exclusivity",
    "base-model licence": "composition.base-model",
    "separation of duties": "approval.not-own-training",
    "two-person rule": "composition.two-reviewers",
}


@pytest.mark.parametrize("asked", ISSUE)
def test_what_was_asked_for_has_a_rule(asked: str) -> None:
    assert ISSUE[asked] in {rule.id for domain in PolicyDomain for rule in ENGINE.rules(domain)}
