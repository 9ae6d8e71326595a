"""Two bundles beside each other: rules by their @id, and the cases that they answer differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sdk.policy.bundle import load_bundle
from sdk.policy.cases import PolicyCase, load_cases
from sdk.policy.cedar import CedarEngine
from sdk.policy.explain import Rule
from sdk.spec.policy import Decision, PolicyDomain


class RuleChange(StrEnum):
    """What became of a rule."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"  # its condition or its words


@dataclass(frozen=True, kw_only=True)
class ChangedRule:
    """A rule that is not the same in both bundles."""

    change: RuleChange
    before: Rule | None
    after: Rule | None
    conditions: tuple[str, str]  # Cedar before and after; "" where there is none

    @property
    def rule(self) -> Rule:
        """The rule as it would be, or as it was when it is removed."""
        rule = self.after or self.before
        assert rule is not None
        return rule


@dataclass(frozen=True, kw_only=True)
class ChangedCase:
    """A case that the two bundles answer differently."""

    case: PolicyCase
    before: Decision
    after: Decision


@dataclass(frozen=True, kw_only=True)
class BundleDifference:
    """Everything that is different."""

    rules: tuple[ChangedRule, ...]
    cases: tuple[ChangedCase, ...]


def compare_bundles(before: Path, after: Path) -> BundleDifference:
    """Compare the bundles in two folders, by their rules and by the cases of both. Raises `ConfigurationError`."""
    old, new = CedarEngine(load_bundle(before)), CedarEngine(load_bundle(after))
    cases = {(case.domain, case.name, case.context.digest): case for case in (*load_cases(before), *load_cases(after))}
    return BundleDifference(
        rules=tuple(change for domain in PolicyDomain for change in _rules(old, new, domain)),
        cases=tuple(changed for case in cases.values() if (changed := _answers(old, new, case))),
    )


def _rules(old: CedarEngine, new: CedarEngine, domain: PolicyDomain) -> Iterator[ChangedRule]:
    before, after = ({rule.id: rule for rule in engine.rules(domain)} for engine in (old, new))
    for name in dict.fromkeys((*before, *after)):
        was, will = before.get(name), after.get(name)
        texts = tuple(engine.condition(name) if rule else "" for engine, rule in ((old, was), (new, will)))
        if (was, texts[0]) != (will, texts[1]):
            change = RuleChange.CHANGED if was and will else RuleChange.ADDED if will else RuleChange.REMOVED
            yield ChangedRule(change=change, before=was, after=will, conditions=(texts[0], texts[1]))


def _answers(old: CedarEngine, new: CedarEngine, case: PolicyCase) -> ChangedCase | None:
    before, after = old.evaluate(case.context), new.evaluate(case.context)
    rules = [{reason.rule for reason in decision.reasons} for decision in (before, after)]
    if before.effect is after.effect and (before.permitted or rules[0] == rules[1]):
        return None
    return ChangedCase(case=case, before=before, after=after)
