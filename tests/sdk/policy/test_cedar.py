"""Tests of sdk.policy.cedar and sdk.policy.explain: what is refused when a bundle is loaded, and at a question."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from sdk.errors import ConfigurationError, PolicyDenied
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.policy.cedar import DEFAULT_DENY, ENGINE_ERROR, CedarEngine, engine_of
from sdk.policy.engine import enforce
from sdk.spec.ids import ConceptId
from sdk.spec.policy import ConceptFacts, Effect, PolicyContext, PolicyDomain, PolicyPrincipal, Role, Use

SHIPPED = load_bundle(Path(__file__).resolve().parents[3] / "policies")
ENGINE = CedarEngine(SHIPPED)
FACTS = ConceptFacts.model_validate(
    {
        "concept": "demo/fox",
        "number": 3,
        "kind": "subject",
        "status": "approved",
        "owner": "demo/owner",
        "trainer_of_record": "demo/trainer",
        "consent_live": True,
        "licence_live": True,
        "covers_concept": True,
        "purposes": ["advertising"],
        "territories": ["JP"],
        "channels": ["web"],
    }
)
CONTEXT = PolicyContext(
    domain=PolicyDomain.COMPOSITION,
    action="compose",
    principal=PolicyPrincipal.model_validate({"id": "demo/app", "roles": ["app"]}),
    concepts=(FACTS,),
    use=Use(purpose="advertising", territory="JP", channel="web"),
    at=datetime(2026, 11, 24, tzinfo=UTC),
)
A_PERMIT = '@id("training.all") @title("t") @plain("p") @plain_ja("p") permit (principal, action, resource);'
A_FORBID = '@id("training.none") @title("t") @plain("p") @plain_ja("p") @because("b") @remedy("r") forbid (principal, action, resource);'


def changed(**files: str | None) -> PolicyBundle:
    """The shipped bundle with files replaced, or removed; `__` stands for `/` and `.` comes by itself."""
    kept = dict(SHIPPED.files)
    for name, text in files.items():
        path = name.replace("__", "/") + (".cedar" if name.endswith("rules") else ".cedarschema")
        kept.pop(path, None)
        if text is not None:
            kept[path] = text
    return PolicyBundle(files=kept)


def asked(**changes: Any) -> PolicyContext:
    return CONTEXT.model_copy(update=changes)


def rules(context: PolicyContext, engine: CedarEngine = ENGINE) -> list[str]:
    decision = engine.evaluate(context)
    assert decision.effect is Effect.DENY
    return [reason.rule for reason in decision.reasons]


class TestLoading:
    def test_the_shipped_bundle_loads(self) -> None:
        assert CedarEngine(SHIPPED).bundle_digest == SHIPPED.digest

    @pytest.mark.parametrize("domain", list(PolicyDomain))
    def test_refuses_a_bundle_in_which_a_domain_has_no_rules(self, domain: PolicyDomain) -> None:
        with pytest.raises(ConfigurationError, match=domain.value):
            CedarEngine(changed(**{f"{domain.value}__rules": None}))

    @pytest.mark.parametrize("schema", ["vocabulary", "training__actions"])
    def test_refuses_a_bundle_without_a_schema(self, schema: str) -> None:
        with pytest.raises(ConfigurationError):
            CedarEngine(changed(**{schema: None}))

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("permit (principal, action", "not Cedar"),
            ("", "one or more policies"),
            (A_PERMIT.replace('@plain_ja("p")', ""), "lacks @plain_ja"),
            (A_PERMIT.replace('@id("training.all")', ""), "lacks @id"),
            (A_FORBID.replace('@because("b")', ""), "lacks @because"),
            (A_FORBID.replace('@remedy("r")', ""), "lacks @remedy"),
            (A_PERMIT + A_PERMIT, "same @id"),
            (A_PERMIT.replace("training.all", "approval.all"), "must begin with it"),
            (A_FORBID.replace('"b"', '"{nonsense}"'), "speaks of {nonsense}"),
            (A_FORBID.replace('"b"', '"{principal"'), "unpaired braces"),
            (A_FORBID.replace('"b"', '"{asked_count:d}"'), "write the name alone"),
            (A_FORBID.replace('"b"', '"{roles!r}"'), "write the name alone"),
            (A_PERMIT.replace("principal,", "principal == ?principal,"), "no templates"),
            (A_PERMIT.replace(";", " when { resource.colour == 1 };"), "do not fit their schema"),
            (A_PERMIT.replace("action,", 'action == Action::"fly",'), "do not fit their schema"),
        ],
    )
    def test_refuses_rules_that_cannot_be_used(self, text: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=says):
            CedarEngine(changed(training__rules=text))

    def test_refuses_a_schema_that_is_none(self) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            CedarEngine(changed(training__actions="action train"))


class TestEvaluate:
    def test_permits_and_names_the_rule_that_permitted(self) -> None:
        decision = ENGINE.evaluate(CONTEXT)
        assert decision.permitted
        assert [reason.rule for reason in decision.reasons] == ["composition.may-compose"]
        assert (decision.bundle, decision.context, decision.action) == (SHIPPED.digest, CONTEXT.digest, "compose")

    def test_a_refusal_states_asked_and_granted_and_who_can_change_it(self) -> None:
        decision = ENGINE.evaluate(asked(use=Use(purpose="merchandise", territory="JP", channel="web")))
        (reason,) = decision.reasons
        assert reason.rule == "composition.purpose"
        assert reason.about == "demo/fox"
        assert reason.message == "asked for the purpose merchandise; demo/fox@3 is granted for advertising"
        assert "demo/owner" in reason.remedy

    def test_names_every_rule_that_refuses_in_the_order_they_are_written(self) -> None:
        fox = FACTS.model_copy(update={"status": "revoked", "consent_live": False})
        use = Use(purpose="x", territory="US", channel="radio")
        assert rules(asked(concepts=(fox,), use=use)) == [
            "composition.approved-only",
            "composition.consent",
            "composition.purpose",
            "composition.territory",
            "composition.channel",
        ]

    def test_one_refused_concept_refuses_all_whatever_its_place(self) -> None:
        other = FACTS.model_copy(update={"concept": ConceptId("demo/shrine"), "status": "submitted"})
        for concepts in ((FACTS, other), (other, FACTS)):
            decision = ENGINE.evaluate(asked(concepts=concepts))
            assert not decision.permitted
            assert {reason.about for reason in decision.reasons} == {"demo/shrine"}

    def test_the_same_question_gets_the_same_decision(self) -> None:
        assert ENGINE.evaluate(CONTEXT) == CedarEngine(SHIPPED).evaluate(CONTEXT)

    def test_a_principal_or_concept_cannot_write_rules_through_its_words(self) -> None:
        odd = FACTS.model_copy(update={"status": 'approved" || true || "'})
        assert rules(asked(concepts=(odd,))) == ["composition.approved-only"]

    def test_rules_are_listed_with_their_words(self) -> None:
        listed = ENGINE.rules(PolicyDomain.APPROVAL)
        assert listed[2].id == "approval.not-own-training"
        assert all(rule.title and rule.plain and rule.plain_ja for rule in listed)


class TestFailsClosed:
    @pytest.mark.parametrize(
        "changes",
        [
            {"use": None},
            {"concepts": ()},
            {"action": "fly"},
            {"domain": PolicyDomain.TRAINING},
            {"concepts": (FACTS, FACTS.model_copy(update={"kind": "logo"}))},
            {"concepts": (FACTS.model_copy(update={"number": "three"}),)},
        ],
        ids=["no use", "no concept", "unknown action", "action of another domain", "one version twice", "bad fact"],
    )
    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
    def test_denies_what_cannot_be_decided(self, changes: dict[str, Any]) -> None:
        assert set(rules(asked(**changes))) == {ENGINE_ERROR}

    def test_denies_by_default_what_no_rule_permits(self) -> None:
        engine = CedarEngine(
            changed(training__rules=A_PERMIT.replace("(principal", '(principal == Principal::"demo/x"'))
        )
        question = asked(domain=PolicyDomain.TRAINING, action="train", use=None)
        assert rules(question, engine) == [DEFAULT_DENY]

    def test_denies_when_a_rule_errors_though_another_permits(self) -> None:
        overflow = A_FORBID.replace(";", " when { resource.number + 9223372036854775807 > 0 };")
        engine = CedarEngine(changed(training__rules=A_PERMIT + overflow))
        question = asked(domain=PolicyDomain.TRAINING, action="train", use=None)
        assert rules(question, engine) == [ENGINE_ERROR]

    def test_denies_when_the_engine_breaks(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("out of order")

        monkeypatch.setattr(cedarpy, "is_authorized", broken)
        with caplog.at_level(logging.CRITICAL):
            assert rules(CONTEXT) == [ENGINE_ERROR]


class TestEnforce:
    def test_returns_a_permit(self) -> None:
        assert enforce(ENGINE, CONTEXT).permitted

    def test_raises_with_the_decision_and_its_words(self) -> None:
        trainer = PolicyPrincipal.model_validate({"id": "demo/t", "roles": [Role.TRAINER]})
        with pytest.raises(PolicyDenied, match=r"composition\.role.*administrator") as caught:
            enforce(ENGINE, asked(principal=trainer))
        assert caught.value.decision.effect is Effect.DENY


class TestEngineOf:
    def test_is_made_once_for_the_same_rules_wherever_they_came_from(self) -> None:
        again = PolicyBundle(files=dict(reversed(SHIPPED.files.items())))
        assert engine_of(SHIPPED) is engine_of(again)
        assert engine_of(SHIPPED).bundle_digest == SHIPPED.digest

    def test_is_another_for_other_rules(self) -> None:
        files = dict(SHIPPED.files)
        name = "composition/rules.cedar"
        other = PolicyBundle(files=files | {name: files[name] + "\n// a note\n"})
        assert engine_of(other) is not engine_of(SHIPPED)
        assert engine_of(other).bundle_digest == other.digest
