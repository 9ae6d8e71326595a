"""Intents: what is permitted or refused, the decision of record, and the grant that comes with a permit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from support.at_once import one_after_the_other
from support.governed import learned_embedding
from support.registry import RegistryUnderTest
from support.versions import (
    FOX,
    Steps,
    Submitted,
    accepted,
    caller,
    refused,
    rules_of,
)

from registry.approvals import service as approvals
from registry.generations import service
from registry.generations.records import Attempt
from registry.versions.withdrawal import withdraw_consent
from sdk.signing.grants import verify_grant
from sdk.signing.receipts import verify_receipt
from sdk.spec.api import AliasChange, AliasChanges, GenerationGrant, GenerationList
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, ConceptId, PrincipalId, RecordId
from sdk.spec.opening import OpeningQuery
from sdk.spec.policy import PolicyContext, Use

SHRINE = ConceptId("demo/shrine")

LEARNED = learned_embedding(b"e", FOX)


def denied(steps: Steps, *versions: Submitted, **changes: Any) -> list[str]:
    return rules_of(refused(steps.compose(*versions, **changes), 403, "policy.denied"))


class TestIntent:
    def test_is_permitted_logged_and_ends(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
        grant = GenerationGrant.model_validate(accepted(steps.compose(fox, shrine)))
        assert grant.decision.permitted
        assert (grant.expires_at - registry.clock.now).total_seconds() == registry.runtime.settings.grant_seconds == 600
        entry = verify_receipt(grant.receipt, registry.runtime.trust_root)
        assert (entry.event.value, entry.subject, entry.actor) == ("generation:permitted", grant.id, "demo/app")
        assert entry.facts["versions"] == "demo/fox@1 demo/shrine@1"
        assert entry.evidence["manifest/demo/fox@1"] == fox.manifest.digest

    def test_the_same_intent_again_gets_the_same_grant(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        first = accepted(steps.compose(fox))
        registry.clock.advance(minutes=1)
        again = accepted(steps.compose(fox))
        assert (first["id"], first["expires_at"]) == (again["id"], again["expires_at"])
        assert len(steps.events(first["id"])) == 1

    def test_a_key_is_for_one_intent(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        accepted(steps.compose(fox))
        refused(steps.compose(fox, seed=8), 409, "resource.conflict", "another intent")

    def test_a_refusal_is_a_record_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.submitted()
        assert denied(steps, fox) == ["composition.approved-only"]
        (view,) = GenerationList.model_validate(steps.get("auditor", "/v1/generations")).generations
        assert (view.application, view.versions, view.decision.permitted) == ("demo/app", ("demo/fox@1",), False)
        assert steps.events(view.id) == [("generation:denied", "demo/app")]

    def test_what_was_refused_may_be_asked_again(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.submitted()
        denied(steps, fox)
        denied(steps, fox)
        accepted(steps.review(fox))
        accepted(steps.compose(fox))
        listed = steps.get("auditor", "/v1/generations")["generations"]
        assert [view["decision"]["effect"] for view in listed] == ["deny", "deny", "permit"]

    def test_the_decision_can_be_made_again_from_what_was_recorded(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        grant = GenerationGrant.model_validate(accepted(steps.compose(steps.approved())))
        with registry.engine.connect() as connection:
            content = connection.scalar(text("SELECT context FROM generations"))
        assert registry.runtime.policy.evaluate(parse_wire(PolicyContext, content, "context")) == grant.decision


class TestIntentRefused:
    def test_use_that_is_not_granted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        assert denied(steps, fox, use=Use(purpose="politics", territory="JP", channel="web")) == ["composition.purpose"]

    def test_callers_who_are_no_application(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        assert denied(steps, steps.approved(), name="trainer") == ["composition.role"]

    @pytest.mark.parametrize(
        ("end", "rules"),
        [
            (Steps.revoke, ["composition.approved-only"]),
            (Steps.withdraw, ["composition.approved-only", "composition.consent"]),
        ],
    )
    def test_versions_that_were_ended(
        self, registry: RegistryUnderTest, end: Callable[[Steps, Submitted], Any], rules: list[str]
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        accepted(end(steps, fox))
        assert denied(steps, fox) == rules

    def test_versions_whose_terms_are_over(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        registry.clock.advance(days=100)
        assert denied(steps, fox) == ["composition.approved-only", "composition.consent", "composition.licence"]

    def test_one_unapproved_concept_refuses_the_picture(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.submitted(SHRINE, embedding=b"s")
        problem = refused(steps.compose(fox, shrine), 403, "policy.denied")
        assert {reason["about"] for reason in problem["decision"]["reasons"]} == {"demo/shrine"}

    def test_concepts_that_may_not_appear_together(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        licence = RecordId(steps.licence(SHRINE, not_with=("demo/fox",))["id"])
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s", licences=(licence,))
        assert denied(steps, fox, shrine) == ["composition.not-together"]
        accepted(steps.compose(shrine, key="z" * 16))

    def test_a_decision_by_other_policies(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        answer = steps.compose(steps.approved(), policy_bundle=Digest.of(b"other"))
        refused(answer, 409, "resource.conflict", "fetch the policies again")

    def test_another_base_model(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(steps.compose(steps.approved(), base_model=Digest.of(b"other")), 422, "input.invalid", "base model")

    def test_a_concept_named_twice(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        refused(steps.compose(fox, fox), 422, "input.invalid", "twice")

    def test_versions_that_are_not_there_or_not_the_tenants(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        refused(steps.compose(fox, manifests=(Digest.of(b"x"),)), 404, "resource.not_found")
        refused(steps.compose(fox, name="other-app"), 404, "resource.not_found")


class TestMeant:
    """The references that an application found its versions by."""

    def ask(self, steps: Steps, *versions: Submitted, meant: tuple[str, ...]) -> Any:
        query = httpx.QueryParams([("meant", each) for each in meant])
        return steps.post("app", f"/v1/generations?{query}", steps.intent(*versions))

    @pytest.mark.parametrize("reference", ["demo/fox", "demo/fox@1", "demo/fox@stable", "demo/fox@{digest}"])
    def test_that_still_mean_them_change_nothing(self, registry: RegistryUnderTest, reference: str) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        change = AliasChange(concept=fox.concept, alias=AliasName("stable"), number=1)
        accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=(change,))))
        accepted(self.ask(steps, fox, meant=(reference.format(digest=fox.manifest.digest),)))

    @pytest.mark.parametrize(
        "reference", ["demo/shrine", "demo/fox@2", "demo/fox@stable", f"demo/fox@{Digest.of(b'x')}"]
    )
    def test_that_mean_another_are_a_conflict_and_no_refusal(self, registry: RegistryUnderTest, reference: str) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        refused(self.ask(steps, fox, meant=(reference,)), 409, "resource.conflict", "resolve it again")
        assert steps.get("auditor", "/v1/generations")["generations"] == []

    @pytest.mark.parametrize("end", [Steps.revoke, Steps.withdraw])
    @pytest.mark.parametrize("reference", ["demo/fox", "demo/fox@1"])
    def test_of_a_version_that_ended_are_a_conflict(
        self, registry: RegistryUnderTest, end: Callable[[Steps, Submitted], Any], reference: str
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        accepted(end(steps, fox))
        refused(self.ask(steps, fox, meant=(reference,)), 409, "resource.conflict", "resolve it again")

    def test_are_as_many_as_the_versions(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        refused(self.ask(steps, fox, meant=("demo/fox", "demo/fox")), 422, "input.invalid", "2 references")

    def test_terms_are_those_it_stands_under(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        for query, status in ((OpeningQuery(terms=(Digest.of(b"x"),)), 409), (OpeningQuery(terms=(fox.terms,)), 201)):
            asked = httpx.QueryParams(query.model_dump(mode="json", exclude_defaults=True))
            assert steps.post("app", f"/v1/generations?{asked}", steps.intent(fox)).status_code == status

    def test_that_are_none_at_all_are_refused(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(self.ask(steps, steps.approved(), meant=("no reference",)), 422, "format.invalid")


class TestAtOnce:
    def composing(self, registry: RegistryUnderTest, fox: Submitted) -> Callable[[Session], Attempt]:
        who, intent = caller(registry, "app"), Steps(registry).intent(fox)
        return lambda session: service.request(session, registry.runtime, who, intent, OpeningQuery())

    def revoking(self, registry: RegistryUnderTest, fox: Submitted) -> Callable[[Session], approvals.Outcome]:
        who, envelope = caller(registry, "reviewer"), Steps(registry).revocation(fox, "reviewer")
        return lambda session: approvals.revoke(session, registry.runtime, who, fox.concept, fox.number, envelope)

    def test_an_intent_waits_for_a_revocation_and_is_then_refused(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).approved()
        late = one_after_the_other(registry, self.revoking(registry, fox), self.composing(registry, fox))
        assert isinstance(late, Attempt)
        assert [reason.rule for reason in late.decision.reasons] == ["composition.approved-only"]

    def test_an_intent_waits_for_a_withdrawal_and_is_then_refused(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).approved()
        who = caller(registry, "owner")
        late = one_after_the_other(
            registry,
            lambda session: withdraw_consent(session, registry.runtime, who, fox.consent, "asked to"),
            self.composing(registry, fox),
        )
        assert isinstance(late, Attempt)
        assert not late.decision.permitted

    def test_what_a_refusal_records_of_a_consent_is_true_as_well(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).submitted()
        who = caller(registry, "owner")
        late = one_after_the_other(
            registry,
            lambda session: withdraw_consent(session, registry.runtime, who, fox.consent, "asked to"),
            self.composing(registry, fox),
        )
        assert isinstance(late, Attempt)
        rules = [reason.rule for reason in late.decision.reasons]
        assert rules == ["composition.approved-only", "composition.consent"]

    def test_a_revocation_comes_after_an_intent_in_the_log_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        one_after_the_other(registry, self.composing(registry, fox), self.revoking(registry, fox))
        assert [event for event, _ in steps.events()][-2:] == ["generation:permitted", "version:revoked"]


class TestGrant:
    def test_is_signed_logged_and_says_what_was_permitted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
        opened = GenerationGrant.model_validate(accepted(steps.compose(fox, shrine)))
        grant = verify_grant(opened.grant, registry.runtime.trust_root, now=registry.clock.now)
        assert (grant.generation, grant.application, grant.executor) == (opened.id, "demo/app", "demo/app")
        assert (grant.count, grant.expires_at) == (2, opened.expires_at)
        assert grant.manifests == (fox.manifest.digest, shrine.manifest.digest)
        assert [version.terms for version in grant.versions] == [fox.terms, shrine.terms]
        assert grant.decision == Digest.of(encode_canonical(opened.decision))
        entry = verify_receipt(opened.receipt, registry.runtime.trust_root)
        assert entry.evidence["grant"] == opened.grant.digest

    def test_a_retry_gets_the_same_and_another_intent_another(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        first, again = (GenerationGrant.model_validate(accepted(steps.compose(fox))) for _ in range(2))
        other = GenerationGrant.model_validate(accepted(steps.compose(fox, key="o" * 16)))
        assert first.grant == again.grant != other.grant
        nonces = {
            verify_grant(each.grant, registry.runtime.trust_root, now=registry.clock.now).nonce
            for each in (first, again, other)
        }
        assert len(nonces) == 2

    def test_the_context_comes_with_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        opened = GenerationGrant.model_validate(accepted(steps.compose(steps.approved())))
        assert registry.runtime.policy.evaluate(opened.context) == opened.decision

    @pytest.mark.parametrize("executor", ["demo/auditor", "demo/nobody", "other/app"])
    def test_names_no_executor_that_is_no_rendering_service(self, registry: RegistryUnderTest, executor: str) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        answer = steps.compose(fox, executor=PrincipalId(executor))
        refused(answer, 422, "input.invalid", "no rendering service")

    def test_under_one_that_names_an_executor_the_application_is_handed_nothing(
        self, registry: RegistryUnderTest
    ) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved(), executor=PrincipalId("demo/renderer")))["id"]
        path = f"/v1/generations/{generation}/artefacts/{Digest.of(LEARNED)}"
        refused(registry.client("app").get(path), 404, "resource.not_found", "draws")
        assert registry.client("renderer").get(path).content == LEARNED
        assert steps.events(generation)[-1][0] == "artefact:released"

    def test_the_executor_records_no_result_and_reads_no_generation(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        generation = accepted(steps.compose(fox, executor=PrincipalId("demo/renderer")))["id"]
        result = steps.result(generation, fox)
        refused(steps.post("renderer", f"/v1/generations/{generation}/result", result), 404, "resource.not_found")
        refused(registry.client("renderer").get(f"/v1/generations/{generation}"), 403, "policy.denied")
        accepted(steps.post("app", f"/v1/generations/{generation}/result", result))

    def test_a_renderer_is_handed_nothing_that_was_granted_to_an_application(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        path = f"/v1/generations/{generation}/artefacts/{Digest.of(LEARNED)}"
        refused(registry.client("renderer").get(path), 404, "resource.not_found")
