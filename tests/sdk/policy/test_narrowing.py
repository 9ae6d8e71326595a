"""What a question can turn on: deciding on it alone is deciding on everything."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.policy_facts import PLAIN_FACTS

from sdk.policy import cedar
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.policy.narrowing import elements_of, sought_elements
from sdk.policy.question import encode_entities
from sdk.spec.policy import ConceptFacts, Decision, PolicyContext, PolicyDomain, PolicyPrincipal, Use

SHIPPED = load_bundle(Path(__file__).resolve().parents[3] / "policies")
ODD_READINGS = (
    "resource.applications.containsAll([principal])",
    "resource.applications.isEmpty()",
    'resource.applications == [Principal::"demo/app"]',
    'resource.applications.contains(Principal::"demo/second")',
    "[principal].containsAny(resource.applications)",
    '(if resource.has_minor then resource else resource).territories.contains("DE")',
    'resource.territories.contains("DE")',
    '{contains: resource.channels}.contains.contains("tv")',
)
APPS = ("demo/app", "demo/second", "demo/third")
some = st.lists(st.sampled_from(APPS), unique=True, max_size=3).map(tuple)


def with_rule(condition: str) -> PolicyBundle:
    """The shipped rules and one more, which reads a set in some way."""
    rule = (
        '@id("composition.odd") @title("t") @plain("p") @plain_ja("p") @because("b") @remedy("r")\n'
        f'forbid (principal, action == Action::"compose", resource) when {{ resource has applications && {condition} }};'
    )
    name = "composition/rules.cedar"
    return PolicyBundle(files=dict(SHIPPED.files) | {name: SHIPPED.files[name] + "\n" + rule})


ENGINES = [CedarEngine(SHIPPED), *(CedarEngine(with_rule(condition)) for condition in ODD_READINGS)]


def words(*known: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(known), unique=True, max_size=3).map(tuple)


@st.composite
def questions(draw: Any) -> PolicyContext:
    concepts = [
        ConceptFacts.model_validate(
            PLAIN_FACTS
            | {
                "concept": name,
                "has_minor": draw(st.booleans()),
                "purposes": draw(words("advertising", "editorial", "political")),
                "territories": draw(words("JP", "DE", "WORLD")),
                "channels": draw(words("web", "tv", "print")),
                "prohibited_uses": draw(words("political", "tv")),
                "not_with": draw(words("demo/fox", "demo/owl")),
                "categories": draw(st.none() | words("cars", "drinks")),
                "exclusive_in": draw(st.none() | words("cars", "drinks")),
                "applications": draw(st.none() | some),
                "media": draw(st.none() | words("image", "video")),
            }
        )
        for name in draw(st.sampled_from([("demo/fox",), ("demo/fox", "demo/owl")]))
    ]
    asked = Use(
        purpose=draw(st.sampled_from(["advertising", "political"])),
        territory=draw(st.sampled_from(["JP", "DE", "US"])),
        channel=draw(st.sampled_from(["web", "tv"])),
    )
    return PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=PolicyPrincipal.model_validate({"id": draw(st.sampled_from(APPS)), "roles": ["app"]}),
        concepts=tuple(concepts),
        use=draw(st.sampled_from([asked, asked, asked, None])),
        count=1,
        at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def decided_on_everything(engine: CedarEngine, question: PolicyContext) -> Decision:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cedar, "elements_of", lambda *_: {})
        return engine.evaluate(question)


class TestDecisions:
    @pytest.mark.parametrize("engine", ENGINES, ids=("shipped", *ODD_READINGS))
    @settings(max_examples=25, deadline=None)
    @given(question=questions())
    def test_are_the_same_on_everything(self, engine: CedarEngine, question: PolicyContext) -> None:
        assert engine.evaluate(question) == decided_on_everything(engine, question)


class TestSought:
    def sought(self, condition: str) -> dict[str, Any]:
        rule = f"permit (principal, action, resource) when {{ {condition} }};"
        return dict(sought_elements(json.loads(cedarpy.policies_to_json_str(rule))["staticPolicies"]))

    def test_is_who_asks_a_fact_of_the_question_or_a_text(self) -> None:
        found = self.sought(
            'resource.a.contains(principal) || resource.b.contains(context.c) || resource.b.contains("WORLD")'
        )
        request = {"principal": {"type": "Principal", "id": "demo/app"}, "context": {"c": "JP"}}
        assert elements_of(found, [request]) == {"a": {"demo/app"}, "b": {"JP", "WORLD"}}

    @pytest.mark.parametrize(
        "other",
        [
            "resource.a.isEmpty()",
            "resource.a.containsAny([principal])",
            "resource.a == []",
            "resource.a.contains(resource.b)",
            "(if context.x then resource else principal).a.contains(principal)",
            'resource.a.contains(Principal::"x")',
            "{contains: resource.a}.contains.isEmpty()",
        ],
    )
    def test_a_set_that_is_read_in_another_way_too_is_whole(self, other: str) -> None:
        for conditions in itertools.permutations(("resource.a.contains(principal)", other)):
            assert "a" not in self.sought(" || ".join(conditions))

    def test_what_is_handed_over_is_small(self) -> None:
        applications = tuple(f"demo/app-{number}" for number in range(10_000))
        question = PolicyContext(
            domain=PolicyDomain.COMPOSITION,
            action="compose",
            principal=PolicyPrincipal.model_validate({"id": "demo/app-7", "roles": ["app"]}),
            concepts=(ConceptFacts.model_validate(PLAIN_FACTS | {"applications": applications}),),
            at=datetime(2026, 11, 24, tzinfo=UTC),
        )
        told = encode_entities(question, {"applications": frozenset({"demo/app-7"})})
        assert [name["__entity"]["id"] for name in told[-1]["attrs"]["applications"]] == ["demo/app-7"]
        assert len(encode_entities(question)[-1]["attrs"]["applications"]) == 10_000
