"""A rule taken apart, default denials that say why, the records behind a fact, and the nearest change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.governed import consent_evidence, consent_record, licence_evidence, licence_grant
from support.policy_facts import PLAIN_FACTS

from sdk.errors import NotFound
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.policy.cedar import DEFAULT_DENY, CedarEngine
from sdk.policy.clauses import Finding
from sdk.policy.nearest import nearest_changes
from sdk.policy.sources import sources_of
from sdk.spec.ids import ConceptId
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain, PolicyPrincipal

POLICIES = Path(__file__).resolve().parents[3] / "policies"
SHIPPED = load_bundle(POLICIES)
RULES = "composition/rules.cedar"
PERMIT = '@id("composition.some") @title("Some may") @plain("Some may.") @plain_ja("可。") permit (principal, action, resource)'
FACTS: dict[str, Any] = PLAIN_FACTS | {
    "purposes": ("advertising",),
    "territories": ("JP",),
    "channels": ("web",),
}


def engine_of(rules: str) -> CedarEngine:
    return CedarEngine(PolicyBundle(files={**SHIPPED.files, RULES: rules}))


def ask(*concepts: dict[str, Any], roles: tuple[str, ...] = ("app",), **use: str) -> PolicyContext:
    return PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=PolicyPrincipal(id="demo/app", roles=roles),
        concepts=tuple(ConceptFacts.model_validate(FACTS | changes) for changes in concepts or ({},)),
        use={"purpose": "advertising", "territory": "JP", "channel": "web"} | use,
        at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def findings(engine: CedarEngine, context: PolicyContext) -> tuple[Finding, ...]:
    ((_, found),) = engine.read_clauses(context)
    return found


class TestClauses:
    def test_a_condition_is_split_where_and_and_or_join_it(self) -> None:
        engine = engine_of(
            f'{PERMIT} when {{ (resource.number > 0 && resource.kind == "logo") || !resource.has_minor }}'
            ' unless { resource.owner == principal || context.channel like "t*" };'
        )
        (finding,) = findings(engine, ask())
        assert [(clause.text, clause.holds) for clause in finding.clauses] == [
            ("resource.number > 0", True),
            ('resource.kind == "logo"', False),
            ("!resource.has_minor", True),
            ("resource.owner == principal", False),
            ('context.channel like "t*"', False),
        ]
        assert finding.fired
        assert finding.reads == {
            *("resource.number", "resource.kind", "resource.has_minor", "resource.owner", "principal"),
            "context.channel",
        }

    def test_a_clause_carries_the_facts_it_speaks_of(self) -> None:
        (finding,) = findings(engine_of(f"{PERMIT} when {{ resource.owner == principal }};"), ask())
        assert finding.clauses[0].facts == {"resource.owner": "demo/owner", "principal": "demo/app"}

    def test_what_cannot_be_said_is_neither_true_nor_false(self) -> None:
        rule = f"{PERMIT} when {{ resource has trainer_of_record && resource.trainer_of_record == principal }};"
        (finding,) = findings(engine_of(rule), ask())
        assert [clause.holds for clause in finding.clauses] == [False, None]
        assert finding.clauses[1].facts["resource.trainer_of_record"] == "absent"
        assert not finding.fired

    def test_rules_of_another_action_are_left_out(self) -> None:
        engine = CedarEngine(SHIPPED)
        context = ask().model_copy(update={"domain": PolicyDomain.APPROVAL, "action": "reject"})
        assert "approval.not-own-training" not in {finding.rule.id for finding in findings(engine, context)}
        assert "approval.status" in {finding.rule.id for finding in findings(engine, context)}

    def test_what_fired_is_what_the_engine_says(self) -> None:
        engine, context = CedarEngine(SHIPPED), ask({"status": "revoked"}, territory="FR")
        fired = {f.rule.id for f in findings(engine, context) if f.fired and f.rule.remedy}
        assert fired == {reason.rule for reason in engine.evaluate(context).reasons}


class TestDefaultDeny:
    def test_says_what_the_nearest_permit_needs(self) -> None:
        engine = engine_of(f'{PERMIT} when {{ principal.roles.contains("admin") && resource.number > 0 }};')
        (reason,) = engine.evaluate(ask()).reasons
        assert reason.rule == DEFAULT_DENY
        needs = 'composition.some (Some may) needs principal.roles.contains("admin"), and principal.roles is app'
        assert reason.message == f"no rule permits demo/app to compose: {needs}"

    def test_says_that_no_rule_is_about_it(self) -> None:
        rule = PERMIT.replace("principal, action", 'principal == Principal::"demo/x", action')
        (reason,) = engine_of(f"{rule};").evaluate(ask()).reasons
        assert reason.message.endswith("no rule is about it")


class TestCondition:
    def test_is_the_rule_without_its_words(self) -> None:
        text = CedarEngine(SHIPPED).condition("composition.licence")
        assert " ".join(text.split()) == (
            'forbid(principal, action == Action::"compose", resource) unless { resource.licence_live };'
        )

    def test_of_no_rule_is_an_error(self) -> None:
        with pytest.raises(NotFound, match=r"no rule composition\.none"):
            CedarEngine(SHIPPED).condition("composition.none")


class TestSources:
    def test_name_each_record_with_page_and_clause(self) -> None:
        sources = sources_of("resource.territories", [consent_evidence()], [licence_evidence()])
        assert [(source.kind, source.says, source.evidence.clause) for source in sources] == [
            ("consent", "DE, JP", "1"),
            ("licence", "DE, JP", "2"),
        ]

    def test_only_records_that_speak_of_the_fact(self) -> None:
        held = [consent_evidence()], [licence_evidence(licence_grant(prohibited_uses=("tobacco",)))]
        (source,) = sources_of("resource.prohibited_uses", *held)
        assert (source.kind, source.says) == ("licence", "never for tobacco")
        assert sources_of("resource.owner", *held) == ()

    @pytest.mark.parametrize("fact", ["resource.consent_live", "resource.has_minor"])
    def test_only_consents_speak_of_persons(self, fact: str) -> None:
        (source,) = sources_of(fact, [consent_evidence(consent_record())], [licence_evidence()])
        assert source.kind == "consent"


class TestNearest:
    def words(self, context: PolicyContext) -> list[list[str]]:
        return [[c.what for c in changes] for changes in nearest_changes(CedarEngine(SHIPPED), context)]

    def test_everything_that_alone_suffices(self) -> None:
        assert self.words(ask(territory="US")) == [
            ["ask for the territory JP"],
            ["obtain a consent and a licence of demo/fox@1 that grant US"],
        ]

    def test_leaving_a_concept_out(self) -> None:
        rival = {"concept": "demo/rival", "not_with": ("demo/fox",)}
        assert self.words(ask({}, rival)) == [
            ["leave demo/fox out of the picture"],
            ["leave demo/rival out of the picture"],
            ["obtain a licence of demo/rival@1 that allows the others beside it"],
        ]

    def test_several_together_when_none_alone_suffices(self) -> None:
        (changes,) = self.words(ask({"status": "submitted", "consent_live": False, "licence_live": False}))
        assert len(changes) == 3

    def test_a_minor_stays_a_minor(self) -> None:
        context = ask({"has_minor": True, "purposes": ("advertising", "political")}, purpose="political")
        assert self.words(context) == [["ask for the purpose advertising"]]

    def test_nothing_helps_when_no_known_change_does(self) -> None:
        never = '@because("never") @remedy("nobody can") forbid (principal, action, resource);'
        rule = never.replace("@because", '@id("composition.never") @title("N") @plain("N.") @plain_ja("否。") @because')
        engine = engine_of(f"{PERMIT}; {rule}")
        assert nearest_changes(engine, ask()) == ()

    def test_a_picture_of_nothing_is_no_way_out(self) -> None:
        lapsed = {"consent_live": False, "licence_live": False}
        context = ask()
        (fox,) = context.concepts
        both = tuple(
            fox.model_copy(update={"concept": name, **lapsed}) for name in (fox.concept, ConceptId("demo/owl"))
        )
        (chain,) = nearest_changes(CedarEngine(SHIPPED), context.model_copy(update={"concepts": both}))
        assert len(chain) == 3
