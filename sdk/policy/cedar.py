"""The policy engine on Cedar (cedarpy). https://docs.cedarpolicy.com

Rules:
1. A bundle is loaded whole or not at all: every domain has a schema and rules, and the rules pass Cedar's strict
   validation against the schema. Nothing that could fail at a question is left to fail there.
2. A question is asked once for every concept, with the others in view. One refusal refuses everything.
3. Cedar skips a policy that raises an error. Here any error at all is a denial, by the rule `engine.error`.
4. Deny by default: what no rule permits is denied, by the rule `engine.default-deny`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cedarpy

from sdk.errors import ConfigurationError
from sdk.policy.bundle import RULES_SUFFIX, SCHEMA_SUFFIX, PolicyBundle
from sdk.policy.explain import Rule, about, explain, other_concepts, parse_rules
from sdk.spec.digest import Digest
from sdk.spec.policy import ConceptFacts, Decision, Effect, PolicyContext, PolicyDomain, Reason

ENGINE_ERROR: Final = "engine.error"
DEFAULT_DENY: Final = "engine.default-deny"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Domain:
    """One folder of rules, parsed: handles are reused for every question."""

    rules: Mapping[str, Rule]
    policies: cedarpy.PolicySet
    schema: cedarpy.Schema


class CedarEngine:
    """Decides by one bundle. Holds no state but the parsed rules; safe to share between threads."""

    def __init__(self, bundle: PolicyBundle) -> None:
        """Raises `ConfigurationError` when the bundle is incomplete, unreadable or does not fit its schema."""
        self.bundle_digest: Digest = bundle.digest
        self._domains = {domain: _load_domain(bundle, domain) for domain in PolicyDomain}

    def rules(self, domain: PolicyDomain) -> tuple[Rule, ...]:
        """The rules of `domain` as people read them, in the order they are written."""
        return tuple(self._domains[domain].rules.values())

    def evaluate(self, context: PolicyContext) -> Decision:
        """The decision about `context`. Never raises: whatever goes wrong is a denial."""
        try:
            effect, reasons = _decide(self._domains[context.domain], context)
        except Exception as exc:  # fail closed: an engine that breaks has not permitted anything
            _logger.exception("policy engine failed on %s", context.action)
            effect, reasons = Effect.DENY, [_engine_error(context, None, f"{type(exc).__name__}: {exc}")]
        return Decision(
            effect=effect,
            action=context.action,
            reasons=tuple(reasons),
            bundle=self.bundle_digest,
            context=context.digest,
        )


def _load_domain(bundle: PolicyBundle, domain: PolicyDomain) -> _Domain:
    rules, named = parse_rules(domain, bundle.texts(domain.value, RULES_SUFFIX))
    text = bundle.texts("", SCHEMA_SUFFIX) + "\n" + bundle.texts(domain.value, SCHEMA_SUFFIX)
    try:
        schema = cedarpy.Schema.from_str(text)
        policies = cedarpy.PolicySet.from_json_str(named)
    except ValueError as exc:
        raise ConfigurationError(f"the {domain.value} schema or rules cannot be read: {exc}") from exc
    found = cedarpy.validate_policies(bundle.texts(domain.value, RULES_SUFFIX), schema)
    if not found.validation_passed:
        raise ConfigurationError(f"the {domain.value} rules do not fit their schema: {found.errors[0].error}")
    return _Domain(rules={rule.id: rule for rule in rules}, policies=policies, schema=schema)


def _decide(domain: _Domain, context: PolicyContext) -> tuple[Effect, list[Reason]]:
    about_records = context.domain is PolicyDomain.AUDIT_ACCESS
    subjects: tuple[ConceptFacts | None, ...] = (None,) if about_records else context.concepts
    if not subjects:
        return Effect.DENY, [_engine_error(context, None, "the question names no concept")]
    entities = cedarpy.Entities.from_json_str(json.dumps(_entities(context)), domain.schema)
    answers = [_answer(domain, context, facts, entities) for facts in subjects]
    outcome = Effect.PERMIT if all(effect is Effect.PERMIT for effect, _ in answers) else Effect.DENY
    return outcome, [reason for effect, reasons in answers if effect is outcome for reason in reasons]


def _answer(
    domain: _Domain, context: PolicyContext, facts: ConceptFacts | None, entities: cedarpy.Entities
) -> tuple[Effect, list[Reason]]:
    """Cedar's answer about one concept, or about the records of the tenant."""
    result = cedarpy.is_authorized(_request(context, facts), domain.policies, entities, domain.schema)
    errors, fired = result.diagnostics.errors, set(result.diagnostics.reasons)
    reasons = [explain(rule, context, facts) for rule in domain.rules.values() if rule.id in fired]
    if errors or result.decision is cedarpy.Decision.NoDecision:
        return Effect.DENY, [_engine_error(context, facts, "; ".join(map(str, errors)) or "no decision")]
    if result.decision is cedarpy.Decision.Allow:
        return Effect.PERMIT, reasons
    return Effect.DENY, reasons or [_default_deny(context, facts)]


def _request(context: PolicyContext, facts: ConceptFacts | None) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if context.domain is PolicyDomain.COMPOSITION and facts:
        asked = context.use.model_dump() if context.use else {}  # no use is an error by the schema, so a denial
        asked["others"] = other_concepts(context, facts)
    return {
        "principal": _principal(str(context.principal.id)),
        "action": {"type": "Action", "id": context.action},
        "resource": _concept_uid(facts) if facts else _records_uid(context),
        "context": asked,
    }


def _entities(context: PolicyContext) -> list[dict[str, Any]]:
    roles = [role.value for role in context.principal.roles]
    asker = {"uid": _principal(str(context.principal.id)), "attrs": {"roles": roles}, "parents": []}
    records = {"uid": _records_uid(context), "attrs": {}, "parents": []}
    return [asker, records, *(_concept_entity(facts) for facts in context.concepts)]


def _concept_entity(facts: ConceptFacts) -> dict[str, Any]:
    attributes = facts.model_dump(mode="json", exclude={"concept", "owner", "trainer_of_record"})
    attributes["owner"] = {"__entity": _principal(str(facts.owner))}
    if facts.trainer_of_record:
        attributes["trainer_of_record"] = {"__entity": _principal(str(facts.trainer_of_record))}
    return {"uid": _concept_uid(facts), "attrs": attributes, "parents": []}


def _principal(name: str) -> dict[str, str]:
    return {"type": "Principal", "id": name}


def _concept_uid(facts: ConceptFacts) -> dict[str, str]:
    return {"type": "Concept", "id": f"{facts.concept}@{facts.number}"}


def _records_uid(context: PolicyContext) -> dict[str, str]:
    return {"type": "Records", "id": str(context.principal.id.tenant)}


def _engine_error(context: PolicyContext, facts: ConceptFacts | None, fault: str) -> Reason:
    return Reason(
        rule=ENGINE_ERROR,
        about=about(context, facts),
        message=f"the question whether {context.principal.id} may {context.action} cannot be decided: {fault}",
        remedy="whoever maintains the policies can mend this; until then everything it concerns is refused",
    )


def _default_deny(context: PolicyContext, facts: ConceptFacts | None) -> Reason:
    return Reason(
        rule=DEFAULT_DENY,
        about=about(context, facts),
        message=f"no rule permits {context.principal.id} to {context.action}",
        remedy="whoever maintains the policies can permit it; what no rule permits is refused",
    )
