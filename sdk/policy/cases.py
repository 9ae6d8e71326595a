"""`cases.yaml`: what a bundle should answer, in words that people read, and running it.

    given:                       # holds unless a case says otherwise
      action: compose
      who: {id: demo/app, roles: [app]}
      use: {purpose: advertising, territory: JP, channel: web}
      concepts: {demo/fox: {number: 1, kind: subject, status: approved, ...}}
    cases:
      - case: A territory that was not granted is refused
        use: {purpose: advertising, territory: FR, channel: web}
        answer: deny
        because: [composition.territory]

A case's concepts change the given ones by name; `like: demo/fox` makes another from a given one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ConfigDict, Field

from sdk.errors import ConfigurationError, FormatError
from sdk.policy.engine import PolicyEngine
from sdk.spec.canonical import WireModel, validate_wire
from sdk.spec.ids import ConceptId
from sdk.spec.policy import Decision, Effect, PolicyContext, PolicyDomain, PolicyPrincipal, Use

CASES_FILE: Final = "cases.yaml"
_AT: Final = datetime(2026, 11, 24, tzinfo=UTC)  # when every case is asked; rules see no clock
_Concepts = dict[ConceptId, dict[str, Any]]


class _Given(WireModel):
    action: str
    who: PolicyPrincipal
    use: Use | None = None
    count: int | None = None
    concepts: _Concepts = Field(default_factory=dict)


class _Case(WireModel):
    case: str
    answer: Effect
    because: tuple[str, ...] = ()
    action: str | None = None
    who: PolicyPrincipal | None = None
    use: Use | None = None
    count: int | None = None
    concepts: _Concepts | None = None


class _CaseFile(WireModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    given: _Given
    cases: tuple[_Case, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class PolicyCase:
    """A question with the answer that is expected."""

    domain: PolicyDomain
    name: str
    context: PolicyContext
    answer: Effect
    because: tuple[str, ...]  # the rules that refuse, in order; empty for a permit

    def met_by(self, decision: Decision) -> bool:
        """Whether `decision` is the expected answer for the expected reasons."""
        rules = tuple(reason.rule for reason in decision.reasons)
        return decision.effect is self.answer and (decision.permitted or rules == self.because)


def load_cases(folder: Path) -> tuple[PolicyCase, ...]:
    """The cases of every domain in the bundle folder; a domain without a file has none.

    Raises:
        ConfigurationError: a file cannot be read, or a case in it cannot be used; file and fault are named.
    """
    paths = [(domain, folder / domain.value / CASES_FILE) for domain in PolicyDomain]
    return tuple(case for domain, path in paths if path.exists() for case in _read(domain, path))


def failures(engine: PolicyEngine, cases: tuple[PolicyCase, ...]) -> tuple[tuple[PolicyCase, Decision], ...]:
    """The cases that `engine` answers otherwise than expected, with its answers."""
    answered = ((case, engine.evaluate(case.context)) for case in cases)
    return tuple((case, decision) for case, decision in answered if not case.met_by(decision))


def _read(domain: PolicyDomain, path: Path) -> tuple[PolicyCase, ...]:
    try:
        file = validate_wire(_CaseFile, yaml.safe_load(path.read_text("utf-8")), "cases")
        return tuple(_case(domain, file.given, case) for case in file.cases)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"the cases in {path} cannot be read: {exc}") from exc
    except FormatError as exc:
        raise ConfigurationError(f"{path}: {exc.message}") from exc


def _case(domain: PolicyDomain, given: _Given, case: _Case) -> PolicyCase:
    changes = given.concepts if case.concepts is None else case.concepts
    context = {
        "domain": domain,
        "action": case.action or given.action,
        "principal": case.who or given.who,
        "concepts": [_facts(given.concepts, name, own) for name, own in changes.items()],
        "use": case.use or given.use,
        "count": given.count if case.count is None else case.count,
        "at": _AT,
    }
    asked = validate_wire(PolicyContext, context, f"the case {case.case!r}")
    return PolicyCase(domain=domain, name=case.case, context=asked, answer=case.answer, because=case.because)


def _facts(given: _Concepts, name: ConceptId, own: Mapping[str, Any]) -> dict[str, Any]:
    base = given.get(ConceptId(own.get("like", name)), {})
    return {**base, **{key: value for key, value in own.items() if key != "like"}, "concept": name}
