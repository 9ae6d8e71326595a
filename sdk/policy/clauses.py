"""A rule taken apart: which of its clauses hold on given facts. Explains decisions; makes none.

The syntax tree of every rule is split at && and ||, and each part is put to Cedar as a policy of its own, under the
scope of its rule. So it is Cedar that says whether a clause holds, and a rule nobody foresaw explains itself as well
as a shipped one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cedarpy

from sdk.policy.explain import Rule
from sdk.policy.question import encode_entities, encode_request, named_facts
from sdk.spec.policy import ConceptFacts, Effect, PolicyContext

ABSENT: Final = "absent"
_SCOPE: Final = ("principal", "action", "resource")
_CONNECTIVES: Final = ("&&", "||")
_BRACED_PATH: Final = re.compile(r"(?<!\w)\((\w+(?:\.\w+)*)\)")
_CONDITION: Final = re.compile(r"permit\(principal, action, resource\) when \{ (.*) \};", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition that is not made of others."""

    text: str  # Cedar: resource.territories.contains(context.territory)
    holds: bool | None  # none: Cedar cannot say, e.g. because a fact that it speaks of is absent
    facts: Mapping[str, str]  # each fact it speaks of, with its value


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How a rule stands whose scope fits the question."""

    rule: Rule
    fired: bool  # a permit that permits, a forbid that forbids
    clauses: tuple[Clause, ...]

    @property
    def reads(self) -> frozenset[str]:
        """The names of the facts that the rule speaks of."""
        return frozenset(name for clause in self.clauses for name in clause.facts)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A clause without facts: its tree, its text, the names of the facts it speaks of."""

    tree: Mapping[str, Any]
    text: str
    reads: tuple[str, ...]


class ClauseReader:
    """The rules of one domain with their clauses. Safe to share between threads."""

    def __init__(self, rules: Mapping[str, Rule], policies: Mapping[str, Any], schema: cedarpy.Schema) -> None:
        """`policies` are the same rules as Cedar JSON, by the same names."""
        self._rules, self._schema = rules, schema
        self._parts = {name: tuple(_parse_part(tree) for tree in _split(policies[name])) for name in rules}
        probes = {probe: policy for name in rules for probe, policy in self._probes_of(name, policies[name])}
        self._probes = cedarpy.PolicySet.from_json_str(_policy_set(probes))

    def read(self, context: PolicyContext, facts: ConceptFacts | None) -> tuple[Finding, ...]:
        """How every rule that the question touches stands, in the order they are written."""
        entities = cedarpy.Entities.from_json_str(json.dumps(encode_entities(context)), self._schema)
        told = cedarpy.is_authorized(encode_request(context, facts), self._probes, entities, self._schema).diagnostics
        held, values = set(told.reasons), named_facts(context, facts)
        return tuple(
            Finding(
                rule=rule,
                fired=f"{name}#rule" in held,
                clauses=tuple(self._clauses(name, held, told.errors, values)),
            )
            for name, rule in self._rules.items()
            if f"{name}#scope" in held
        )

    def _probes_of(self, name: str, policy: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield f"{name}#scope", _permit(policy, [])
        yield f"{name}#rule", _permit(policy, policy["conditions"])
        for index, part in enumerate(self._parts[name]):
            yield f"{name}#{index}", _permit(policy, [{"kind": "when", "body": part.tree}])

    def _clauses(self, name: str, held: set[str], errors: list[str], values: Mapping[str, Any]) -> Iterator[Clause]:
        for index, part in enumerate(self._parts[name]):
            probe = f"{name}#{index}"
            broken = any(f"`{probe}`" in error for error in errors)
            facts = {read: _in_words(values.get(read)) for read in part.reads}
            yield Clause(text=part.text, holds=None if broken else probe in held, facts=facts)


def unmet_permits(findings: tuple[Finding, ...]) -> str:
    """Why nothing permitted: each permit in reach, with the clauses of it that do not hold."""
    permits = [finding for finding in findings if finding.rule.effect is Effect.PERMIT]
    return "; ".join(f"{permit.rule.id} ({permit.rule.title}) needs {_unmet(permit)}" for permit in permits)


def _unmet(permit: Finding) -> str:
    return ", ".join(
        f"{clause.text}, and {' and '.join(f'{name} is {value}' for name, value in clause.facts.items())}"
        for clause in permit.clauses
        if not clause.holds
    )


def _split(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = [condition["body"] for condition in reversed(policy["conditions"])]
    while waiting:
        tree = waiting.pop()
        connective = next((name for name in _CONNECTIVES if name in tree), None)
        if connective is None:
            yield tree
        else:
            waiting += [tree[connective]["right"], tree[connective]["left"]]


def _parse_part(tree: Mapping[str, Any]) -> _Part:
    anybody = {part: {"op": "All"} for part in _SCOPE}
    written = write_policy(_permit(anybody, [{"kind": "when", "body": tree}]))
    found = _CONDITION.search(written)
    return _Part(tree=tree, text=found[1] if found else written, reads=tuple(dict.fromkeys(_reads(tree))))


def write_policy(policy: Mapping[str, Any]) -> str:
    """A policy of Cedar JSON as text, without annotations and without the brackets that Cedar puts around names."""
    bare = {name: value for name, value in policy.items() if name != "annotations"}
    text = cedarpy.policies_from_json_str(_policy_set({"policy": bare})).strip()
    while (plainer := _BRACED_PATH.sub(r"\1", text)) != text:
        text = plainer
    return text


def _reads(tree: Any) -> Iterator[str]:
    """The facts that a tree speaks of: `resource.owner`, or `principal` alone."""
    if isinstance(tree, list):
        for each in tree:
            yield from _reads(each)
    elif isinstance(tree, dict):
        of = tree.get(".") or tree.get("has")
        if of and "Var" in of["left"]:
            yield f"{of['left']['Var']}.{of['attr']}"
        elif "Var" in tree:
            yield tree["Var"]
        else:
            for each in tree.values():
                yield from _reads(each)


def _permit(scope: Mapping[str, Any], conditions: list[Any]) -> dict[str, Any]:
    return {"effect": "permit", **{part: scope[part] for part in _SCOPE}, "conditions": conditions}


def _policy_set(policies: Mapping[str, Any]) -> str:
    return json.dumps({"staticPolicies": dict(policies), "templates": {}, "templateLinks": []})


def _in_words(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(sorted(map(_in_words, value))) or "nothing"
    if isinstance(value, dict):
        return str(value.get("__entity", value).get("id", value))
    return str(value)
