"""What a rule says of itself, and refusals in words. Reads annotations; decides nothing.

Every rule carries `@id` (its folder, a full stop, a name), `@title`, `@plain` and `@plain_ja` (the rule for people,
in English and Japanese). A `forbid` also carries `@because` and `@remedy`: sentences in which a name in braces stands
for a fact, e.g. {asked_purpose}. The names are `FACT_NAMES`; a rule that uses another one is refused when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

import cedarpy

from sdk.errors import ConfigurationError
from sdk.policy.question import other_categories, other_concepts
from sdk.spec.policy import ConceptFacts, Effect, PolicyContext, PolicyDomain, Reason

FACT_NAMES: Final = frozenset(
    {
        "principal", "roles", "action",
        "concept", "version", "kind", "status", "owner", "trainer_of_record", "review_requested_by",
        "purposes", "territories", "channels", "prohibited_uses", "not_with",
        "categories", "exclusive_in", "applications", "base_model", "base_models", "images_left", "approvals",
        "media", "not_with_categories", "uses_described",
        "asked_purpose", "asked_territory", "asked_channel", "asked_count", "others", "other_categories",
    }
)  # fmt: skip
_ALWAYS: Final = ("id", "title", "plain", "plain_ja")
_ON_FORBID: Final = ("because", "remedy")
_NONE: Final = "nothing"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One Cedar policy as people read it."""

    id: str
    effect: Effect
    title: str
    plain: str
    plain_ja: str
    because: str
    remedy: str


def parse_rules(domain: PolicyDomain, text: str) -> tuple[tuple[Rule, ...], str]:
    """The rules of one domain, and the same policies as Cedar JSON in which each is called by its `@id`.

    Raises:
        ConfigurationError: not Cedar, no rule, a template, or annotations that are missing, doubled or unusable.
    """
    try:
        parsed: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as exc:
        raise ConfigurationError(f"the {domain.value} rules are not Cedar: {exc}") from exc
    policies = sorted(parsed["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy")))
    if not policies or parsed["templates"]:
        raise ConfigurationError(f"the {domain.value} rules must be one or more policies, and no templates")
    rules = tuple(_parse_rule(domain, policy) for _, policy in policies)
    named = {rule.id: policy for rule, (_, policy) in zip(rules, policies, strict=True)}
    if len(named) != len(rules):
        raise ConfigurationError(f"two {domain.value} rules have the same @id; every rule needs its own")
    return rules, json.dumps({"staticPolicies": named, "templates": {}, "templateLinks": []})


def _parse_rule(domain: PolicyDomain, policy: Mapping[str, Any]) -> Rule:
    notes: dict[str, str] = {name: text or "" for name, text in policy.get("annotations", {}).items()}
    effect = Effect.DENY if policy["effect"] == "forbid" else Effect.PERMIT
    named = notes.get("id") or "without an @id"
    wanted = _ALWAYS + (_ON_FORBID if effect is Effect.DENY else ())
    if missing := [f"@{name}" for name in wanted if not notes.get(name)]:
        raise ConfigurationError(f"the {domain.value} rule {named} lacks {', '.join(missing)}")
    if not named.startswith(f"{domain.value}."):
        raise ConfigurationError(f"the rule {named} is in the folder {domain.value}; its @id must begin with it")
    rule = Rule(effect=effect, **{name: notes.get(name, "") for name in _ALWAYS + _ON_FORBID})
    for text in (rule.because, rule.remedy):
        _check_template(rule, text)
    return rule


def _check_template(rule: Rule, text: str) -> None:
    try:
        fields = [
            (name, layout or conversion) for _, name, layout, conversion in Formatter().parse(text) if name is not None
        ]
    except ValueError as exc:
        raise ConfigurationError(f"the rule {rule.id} has unpaired braces in {text!r}") from exc
    if shaped := [name for name, shape in fields if shape]:
        raise ConfigurationError(
            f"the rule {rule.id} has {{{shaped[0]}}} with ':' or '!' behind it; write the name alone"
        )
    if unknown := {name for name, _ in fields} - FACT_NAMES:
        raise ConfigurationError(
            f"the rule {rule.id} speaks of {{{min(unknown)}}}; facts are {', '.join(sorted(FACT_NAMES))}"
        )


def explain(rule: Rule, context: PolicyContext, facts: ConceptFacts | None) -> Reason:
    """Why `rule` decided, with the facts filled in. A permit is explained by what the rule says."""
    words = _words(context, facts) if "{" in rule.because + rule.remedy else {}
    message = rule.because.format_map(words) if rule.because else rule.plain
    return Reason(rule=rule.id, about=about(context, facts), message=message, remedy=rule.remedy.format_map(words))


def about(context: PolicyContext, facts: ConceptFacts | None) -> str:
    """What a reason is about: the concept, or who asked when there is none."""
    return str(facts.concept if facts else context.principal.id)


def _words(context: PolicyContext, facts: ConceptFacts | None) -> dict[str, str]:
    words = dict.fromkeys(FACT_NAMES, _NONE)
    words["principal"] = str(context.principal.id)
    words["roles"] = _listed([role.value for role in context.principal.roles])
    words["action"] = context.action
    if context.use:
        words["asked_purpose"] = context.use.purpose
        words["asked_territory"] = context.use.territory
        words["asked_channel"] = context.use.channel
    words["asked_count"] = _number(context.count)
    return words | (_concept_words(context, facts) if facts else {})


def _concept_words(context: PolicyContext, facts: ConceptFacts) -> dict[str, str]:
    return {
        "concept": str(facts.concept),
        "version": f"{facts.concept}@{facts.number}" if facts.number else str(facts.concept),
        "kind": facts.kind.value,
        "status": facts.status,
        "owner": str(facts.owner),
        "trainer_of_record": str(facts.trainer_of_record or _NONE),
        "review_requested_by": str(facts.review_requested_by or _NONE),
        "purposes": _listed(facts.purposes),
        "territories": _listed(facts.territories),
        "channels": _listed(facts.channels),
        "prohibited_uses": _listed(facts.prohibited_uses),
        "not_with": _listed(facts.not_with),
        "categories": _listed(facts.categories or ()),
        "exclusive_in": _listed(facts.exclusive_in or ()),
        "applications": _listed(facts.applications or ()),
        "base_model": str(facts.base_model or _NONE),
        "base_models": _listed(facts.base_models or ()),
        "images_left": _number(facts.images_left),
        "approvals": _number(facts.approvals),
        "media": _listed(facts.media or ()),
        "not_with_categories": _listed(facts.not_with_categories or ()),
        "uses_described": "yes" if facts.uses_described else "no",
        "others": _listed(other_concepts(context, facts)),
        "other_categories": _listed(other_categories(context, facts)),
    }


def _number(value: int | None) -> str:
    return _NONE if value is None else str(value)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or _NONE
