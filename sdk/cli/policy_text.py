"""What `imprimatur policy` says: findings clause by clause, the nearest yes, changed rules, who gains and who loses."""

from __future__ import annotations

from collections import Counter

from sdk.cli.connection import say, show_table
from sdk.policy.cedar import CedarEngine
from sdk.policy.clauses import Clause, Finding
from sdk.policy.compare import ChangedRule
from sdk.policy.nearest import nearest_changes
from sdk.policy.replay import Replayed
from sdk.policy.sources import sources_of
from sdk.spec.policy import Decision, Effect, PolicyContext
from sdk.verify import VerifiedVersion


def show_findings(version: VerifiedVersion, findings: tuple[Finding, ...], decision: Decision) -> None:
    """Rule by rule what is said of `version`: what refuses, by which clauses, on which sources."""
    bundle = version.bundle
    reasons = {reason.rule: reason for reason in decision.reasons if reason.about == bundle.concept}
    say(f"{version.name}")
    for finding in findings:
        refuses = finding.fired if finding.rule.effect is Effect.DENY else not finding.fired
        say(f"  {'no ' if refuses else 'yes'}  {finding.rule.title} ({finding.rule.id})")
        if not refuses:
            continue
        if reason := reasons.get(finding.rule.id):
            say(f"         {reason.message}")
        for clause in finding.clauses:
            say(f"         {_clause(clause)}")
        for source in (s for fact in sorted(finding.reads) for s in sources_of(fact, bundle.consents, bundle.licences)):
            say(f"         {source}")


def _clause(clause: Clause) -> str:
    holds = {True: "holds", False: "does not hold", None: "cannot be said"}[clause.holds]
    facts = "; ".join(f"{name}: {value}" for name, value in clause.facts.items())
    return f"{clause.text} {holds}" + (f" ({facts})" if facts else "")


def show_nearest(engine: CedarEngine, context: PolicyContext) -> None:
    """The smallest changes that would make it a yes, and who can make them."""
    alternatives = nearest_changes(engine, context)
    say("what would make it a yes:" if alternatives else "nothing that anybody can change would make it a yes")
    for changes in alternatives:
        for index, change in enumerate(changes):
            say(f"  {'-' if index == 0 else ' and'} {change.what}: {change.who}")


def show_changed_rule(changed: ChangedRule) -> None:
    """A rule before and after."""
    say(f"{changed.change.value}: {changed.rule.id} ({changed.rule.title})")
    for sign, rule, condition in (("-", changed.before, 0), ("+", changed.after, 1)):
        if rule:
            say(f"  {sign} {rule.plain}")
            say(f"    {' '.join(changed.conditions[condition].split())}")


def show_replayed(title: str, replayed: list[Replayed]) -> None:
    """Whose decisions these are, counted."""
    if not replayed:
        say(f"{title}: nobody")
        return
    counted = Counter(map(_who_and_what, replayed))
    show_table(
        title,
        ("application", "concepts", "use", "rules", "decisions"),
        [(*row, str(number)) for row, number in sorted(counted.items())],
    )


def _who_and_what(each: Replayed) -> tuple[str, str, str, str]:
    context = each.recorded.context
    use = f"{context.use.purpose} on {context.use.channel} in {context.use.territory}" if context.use else "-"
    refused = each.proposed if each.loses else each.recorded.decision
    rules = " ".join(dict.fromkeys(reason.rule for reason in refused.reasons))
    concepts = " ".join(f"{facts.concept}@{facts.number}" for facts in context.concepts)
    return str(context.principal.id), concepts, use, rules


def in_short(decision: Decision) -> str:
    """A decision on one line: the effect, and the rules that refuse."""
    rules = dict.fromkeys(reason.rule for reason in decision.reasons if not decision.permitted)
    return " ".join((decision.effect.value, *rules))
