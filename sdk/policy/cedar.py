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
from functools import cached_property, lru_cache
from typing import Any, Final

import cedarpy

from sdk.errors import ConfigurationError, NotFound
from sdk.policy.bundle import RULES_SUFFIX, SCHEMA_SUFFIX, PolicyBundle
from sdk.policy.clauses import ClauseReader, Finding, unmet_permits, write_policy
from sdk.policy.explain import Rule, about, explain, parse_rules
from sdk.policy.narrowing import Sought, elements_of, sought_elements
from sdk.policy.question import encode_entities, encode_request
from sdk.spec.digest import Digest
from sdk.spec.policy import ConceptFacts, Decision, Effect, PolicyContext, PolicyDomain, Reason

ENGINE_ERROR: Final = "engine.error"
DEFAULT_DENY: Final = "engine.default-deny"
_ABOUT_RECORDS: Final = frozenset({PolicyDomain.AUDIT_ACCESS, PolicyDomain.ADMINISTRATION})  # not about concepts
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Domain:
    """One folder of rules, parsed: handles are reused for every question."""

    rules: Mapping[str, Rule]
    named: str  # the policies as Cedar JSON
    policies: cedarpy.PolicySet
    schema: cedarpy.Schema
    sought: Sought  # what of a concept's sets these rules can turn on

    @cached_property
    def clauses(self) -> ClauseReader:
        """Made when somebody first asks why; deciding does not need it."""
        return ClauseReader(self.rules, json.loads(self.named)["staticPolicies"], self.schema)


class CedarEngine:
    """Decides by one bundle. Holds no state but the parsed rules; safe to share between threads."""

    def __init__(self, bundle: PolicyBundle) -> None:
        """Raises `ConfigurationError` when the bundle is incomplete, unreadable or does not fit its schema."""
        self.bundle_digest: Digest = bundle.digest
        self._domains = {domain: _load_domain(bundle, domain) for domain in PolicyDomain}

    def rules(self, domain: PolicyDomain) -> tuple[Rule, ...]:
        """The rules of `domain` as people read them, in the order they are written."""
        return tuple(self._domains[domain].rules.values())

    def condition(self, rule: str) -> str:
        """The rule called `rule` as Cedar writes it, without its annotations. Raises `NotFound`."""
        for domain in self._domains.values():
            if rule in domain.rules:
                return write_policy(json.loads(domain.named)["staticPolicies"][rule])
        raise NotFound(f"the policies {self.bundle_digest} have no rule {rule}")

    def read_clauses(self, context: PolicyContext) -> tuple[tuple[ConceptFacts | None, tuple[Finding, ...]], ...]:
        """How every rule stands towards each concept of the question, clause by clause."""
        reader = self._domains[context.domain].clauses
        return tuple((facts, reader.read(context, facts)) for facts in _subjects(context))

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


def engine_of(bundle: PolicyBundle) -> CedarEngine:
    """The engine of a bundle, made once for the same rules: reading and validating them costs more than deciding."""
    return _engine_of(tuple(sorted(bundle.files.items())))


@lru_cache(maxsize=4)
def _engine_of(files: tuple[tuple[str, str], ...]) -> CedarEngine:
    return CedarEngine(PolicyBundle(files=dict(files)))


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
    sought = sought_elements(json.loads(named)["staticPolicies"])
    return _Domain(
        rules={rule.id: rule for rule in rules}, named=named, policies=policies, schema=schema, sought=sought
    )


def _decide(domain: _Domain, context: PolicyContext) -> tuple[Effect, list[Reason]]:
    subjects = _subjects(context)
    if not subjects:
        return Effect.DENY, [_engine_error(context, None, "the question names no concept")]
    requests = [encode_request(context, facts) for facts in subjects]
    told = encode_entities(context, elements_of(domain.sought, requests))
    entities = cedarpy.Entities.from_json_str(json.dumps(told), domain.schema)
    asked = zip(subjects, requests, strict=True)
    answers = [_answer(domain, context, facts, request, entities) for facts, request in asked]
    outcome = Effect.PERMIT if all(effect is Effect.PERMIT for effect, _ in answers) else Effect.DENY
    return outcome, [reason for effect, reasons in answers if effect is outcome for reason in reasons]


def _subjects(context: PolicyContext) -> tuple[ConceptFacts | None, ...]:
    return (None,) if context.domain in _ABOUT_RECORDS else context.concepts


def _answer(
    domain: _Domain,
    context: PolicyContext,
    facts: ConceptFacts | None,
    request: Mapping[str, Any],
    entities: cedarpy.Entities,
) -> tuple[Effect, list[Reason]]:
    """Cedar's answer to one request: about one concept, or about the records of the tenant."""
    result = cedarpy.is_authorized(dict(request), domain.policies, entities, domain.schema)
    errors, fired = result.diagnostics.errors, set(result.diagnostics.reasons)
    reasons = [explain(rule, context, facts) for rule in domain.rules.values() if rule.id in fired]
    if errors or result.decision is cedarpy.Decision.NoDecision:
        return Effect.DENY, [_engine_error(context, facts, "; ".join(map(str, errors)) or "no decision")]
    if result.decision is cedarpy.Decision.Allow:
        return Effect.PERMIT, reasons
    return Effect.DENY, reasons or [_default_deny(domain, context, facts)]


def _engine_error(context: PolicyContext, facts: ConceptFacts | None, fault: str) -> Reason:
    return Reason(
        rule=ENGINE_ERROR,
        about=about(context, facts),
        message=f"the question whether {context.principal.id} may {context.action} cannot be decided: {fault}",
        remedy="whoever maintains the policies can mend this; until then everything it concerns is refused",
    )


def _default_deny(domain: _Domain, context: PolicyContext, facts: ConceptFacts | None) -> Reason:
    unmet = unmet_permits(domain.clauses.read(context, facts)) or "no rule is about it"
    return Reason(
        rule=DEFAULT_DENY,
        about=about(context, facts),
        message=f"no rule permits {context.principal.id} to {context.action}: {unmet}",
        remedy="whoever maintains the policies can permit it; what no rule permits is refused",
    )
