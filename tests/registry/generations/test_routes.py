"""Tests of registry.generations: intents and decisions, release of artefacts, results, and who may read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from support.registry import RegistryUnderTest
from support.versions import (
    Steps,
    Submitted,
    accepted,
    assert_insert_only,
    caller,
    one_after_the_other,
    refused,
    rules_of,
)

from registry.approvals import service as approvals
from registry.generations import service
from registry.versions.withdrawal import withdraw_consent
from sdk.signing.grants import verify_grant
from sdk.spec.api import DecisionPage, GenerationGrant, GenerationList
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.manifest import ArtefactRole
from sdk.spec.policy import PolicyContext, Use
from sdk.verify import verify_receipt

SHRINE = ConceptId("demo/shrine")


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


class TestAtOnce:
    def composing(self, registry: RegistryUnderTest, fox: Submitted) -> Callable[[Session], service.Attempt]:
        who, intent = caller(registry, "app"), Steps(registry).intent(fox)
        return lambda session: service.request(session, registry.runtime, who, intent)

    def revoking(self, registry: RegistryUnderTest, fox: Submitted) -> Callable[[Session], approvals.Outcome]:
        who, envelope = caller(registry, "reviewer"), Steps(registry).revocation(fox, "reviewer")
        return lambda session: approvals.revoke(session, registry.runtime, who, fox.concept, fox.number, envelope)

    def test_an_intent_waits_for_a_revocation_and_is_then_refused(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).approved()
        late = one_after_the_other(registry, self.revoking(registry, fox), self.composing(registry, fox))
        assert isinstance(late, service.Attempt)
        assert [reason.rule for reason in late.decision.reasons] == ["composition.approved-only"]

    def test_an_intent_waits_for_a_withdrawal_and_is_then_refused(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).approved()
        who = caller(registry, "owner")
        late = one_after_the_other(
            registry,
            lambda session: withdraw_consent(session, registry.runtime, who, fox.consent, "asked to"),
            self.composing(registry, fox),
        )
        assert isinstance(late, service.Attempt)
        assert not late.decision.permitted

    def test_what_a_refusal_records_of_a_consent_is_true_as_well(self, registry: RegistryUnderTest) -> None:
        fox = Steps(registry).submitted()
        who = caller(registry, "owner")
        late = one_after_the_other(
            registry,
            lambda session: withdraw_consent(session, registry.runtime, who, fox.consent, "asked to"),
            self.composing(registry, fox),
        )
        assert isinstance(late, service.Attempt)
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
        path = f"/v1/generations/{generation}/artefacts/{Digest.of(b'e')}"
        refused(registry.client("app").get(path), 404, "resource.not_found", "draws")
        assert registry.client("renderer").get(path).content == b"e"
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
        path = f"/v1/generations/{generation}/artefacts/{Digest.of(b'e')}"
        refused(registry.client("renderer").get(path), 404, "resource.not_found")


class TestArtefacts:
    def fetch(self, registry: RegistryUnderTest, generation: str, content: bytes = b"e", name: str = "app") -> Any:
        return registry.client(name).get(f"/v1/generations/{generation}/artefacts/{Digest.of(content)}")

    def test_go_to_the_application_and_are_logged_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        for _ in range(2):
            answer = self.fetch(registry, generation)
            assert (answer.status_code, answer.content) == (200, b"e")
        assert [event for event, _ in steps.events(generation)] == ["generation:permitted", "artefact:released"]

    def test_go_to_nobody_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        for name in ("trainer", "reviewer", "auditor", "other-app"):
            refused(self.fetch(registry, generation, name=name), 404, "resource.not_found")

    def test_only_those_of_the_versions_granted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved(SHRINE, embedding=b"s")
        generation = accepted(steps.compose(steps.approved()))["id"]
        refused(self.fetch(registry, generation, b"s"), 404, "resource.not_found", "no embedding or mask")

    def test_no_pictures_of_the_training(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.upload(b"picture")
        manifest = steps.manifest()
        picture = manifest.artefacts[0].model_copy(
            update={"name": "a.png", "role": ArtefactRole.TRAINING_PICTURE, "digest": Digest.of(b"picture"), "size": 7}
        )
        fox = steps.approved(artefacts=(*manifest.artefacts, picture))
        generation = accepted(steps.compose(fox))["id"]
        refused(self.fetch(registry, generation, b"picture"), 404, "resource.not_found")

    def test_not_after_the_grant_expired(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        registry.clock.advance(seconds=600)
        refused(self.fetch(registry, generation), 403, "auth.forbidden", "expired")

    def test_not_after_the_result(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        generation = accepted(steps.compose(fox))["id"]
        accepted(steps.post("app", f"/v1/generations/{generation}/result", steps.result(generation, fox)))
        refused(self.fetch(registry, generation), 409, "resource.conflict", "finished")

    def test_not_of_a_version_revoked_since(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        generation = accepted(steps.compose(fox))["id"]
        accepted(steps.revoke(fox))
        refused(self.fetch(registry, generation), 422, "verification.not_approved", "became revoked")

    def test_not_for_a_refused_attempt(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        denied(steps, steps.submitted())
        (view,) = steps.get("auditor", "/v1/generations")["generations"]
        refused(self.fetch(registry, view["id"]), 404, "resource.not_found")


class TestResult:
    def opened(self, steps: Steps) -> tuple[str, Submitted]:
        fox = steps.approved()
        return accepted(steps.compose(fox))["id"], fox

    def record(self, steps: Steps, generation: str, fox: Submitted, *, name: str = "app", **changes: Any) -> Any:
        stated = changes.pop("about", generation)
        body = steps.result(stated, fox, **changes)
        return steps.post(name, f"/v1/generations/{generation}/result", body)

    def test_is_recorded_and_proved(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation, fox = self.opened(steps)
        receipt = LogReceipt.model_validate(accepted(self.record(steps, generation, fox)))
        entry = verify_receipt(receipt, registry.runtime.trust_root)
        assert (entry.event.value, entry.subject) == ("generation:recorded", generation)
        view = steps.get("app", f"/v1/generations/{generation}")
        assert [image["digest"] for image in view["images"]] == [Digest.of(b"one"), Digest.of(b"two")]
        assert (view["result_index"], view["intent_index"]) == (receipt.index, receipt.index - 1)

    def test_may_come_after_the_grant_expired(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation, fox = self.opened(steps)
        registry.clock.advance(hours=1)
        accepted(self.record(steps, generation, fox))

    def test_the_same_again_is_the_same_and_another_is_a_conflict(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation, fox = self.opened(steps)
        first, again = (accepted(self.record(steps, generation, fox)) for _ in range(2))
        assert first["index"] == again["index"]
        refused(self.record(steps, generation, fox, images=(b"other",)), 409, "resource.conflict", "final")

    @pytest.mark.parametrize(
        ("changes", "code", "says"),
        [
            ({"signer": "other-app"}, "verification.signature", "key of demo/app"),
            ({"signer": "reviewer"}, "verification.signature", "generation"),
            ({"about": "gen_" + "a" * 26}, "verification.failed", "is about gen_aaa"),
            ({"application": PrincipalId("demo/x")}, "verification.failed", "by demo/x"),
            ({"manifests": (Digest.of(b"x"),)}, "verification.failed", "other versions"),
            ({"stated": (b"one",)}, "verification.failed", "exactly the images"),
            ({"stated": (b"one", b"three")}, "verification.failed", "exactly the images"),
            ({"images": (b"1", b"2", b"3")}, "input.invalid", "permitted 2 images"),
        ],
    )
    def test_refuses_a_statement_that_does_not_prove_it(
        self, registry: RegistryUnderTest, changes: dict[str, Any], code: str, says: str
    ) -> None:
        steps = Steps(registry)
        generation, fox = self.opened(steps)
        refused(self.record(steps, generation, fox, **changes), 422, code, says)

    def test_is_for_the_application_that_was_permitted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation, fox = self.opened(steps)
        for name in ("trainer", "other-app"):
            refused(self.record(steps, generation, fox, name=name), 404, "resource.not_found")


class TestRead:
    @pytest.mark.parametrize("name", ["auditor", "owner", "app"])
    def test_by_auditors_owners_and_the_application_itself(self, registry: RegistryUnderTest, name: str) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        assert [view["id"] for view in steps.get(name, "/v1/generations")["generations"]] == [generation]
        assert steps.get(name, f"/v1/generations/{generation}")["id"] == generation

    def test_by_nobody_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        for path in ("/v1/generations", f"/v1/generations/{generation}"):
            problem = refused(registry.client("reviewer").get(path), 403, "policy.denied")
            assert rules_of(problem) == ["audit_access.generations-role"]
        assert steps.get("other-auditor", "/v1/generations")["generations"] == []
        for name in ("other-auditor", "other-app"):
            refused(registry.client(name).get(f"/v1/generations/{generation}"), 404, "resource.not_found")

    def test_an_application_sees_only_its_own(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        denied(steps, fox, name="trainer")
        assert steps.get("app", "/v1/generations")["generations"] == []
        (view,) = steps.get("auditor", "/v1/generations")["generations"]
        refused(registry.client("app").get(f"/v1/generations/{view['id']}"), 404, "resource.not_found")

    def test_of_one_concept(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
        accepted(steps.compose(fox))
        accepted(steps.compose(fox, shrine, key="j" * 16))
        for concept, expected in (("demo/fox", 2), ("demo/shrine", 1), ("demo/none", 0)):
            listed = steps.get("auditor", f"/v1/generations?concept={concept}")["generations"]
            assert len(listed) == expected


class TestEvidence:
    def test_rows_are_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        generation = accepted(steps.compose(fox))["id"]
        registry.client("app").get(f"/v1/generations/{generation}/artefacts/{Digest.of(b'e')}").raise_for_status()
        accepted(steps.post("app", f"/v1/generations/{generation}/result", steps.result(generation, fox)))
        for table in ("generation_versions", "generation_results", "artefact_releases", "generations"):
            assert_insert_only(registry, table)


class TestDecisions:
    def test_are_read_with_the_contexts_they_rest_on(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.submitted()
        denied(steps, fox)
        accepted(steps.review(fox))
        accepted(steps.compose(fox))
        page = DecisionPage.model_validate(steps.get("auditor", "/v1/generations/decisions"))
        assert [held.decision.permitted for held in page.decisions] == [False, True]
        assert [registry.runtime.policy.evaluate(held.context) for held in page.decisions] == [
            held.decision for held in page.decisions
        ]

    def test_come_a_page_at_a_time_and_since_a_moment(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        for key in ("a" * 16, "b" * 16, "c" * 16):
            accepted(steps.compose(fox, key=key))
            registry.clock.advance(hours=1)
        first = DecisionPage.model_validate(steps.get("auditor", "/v1/generations/decisions?limit=2"))
        rest = steps.get("auditor", f"/v1/generations/decisions?limit=2&after={first.next_after}")
        assert (len(first.decisions), len(rest["decisions"]), rest.get("next_after")) == (2, 1, None)
        since = (registry.clock.now - timedelta(hours=2)).isoformat().replace("+00:00", "Z")
        assert len(steps.get("auditor", f"/v1/generations/decisions?since={since}")["decisions"]) == 2

    def test_are_for_auditors_owners_and_whoever_asked(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.compose(steps.approved()))
        read = {
            name: len(steps.get(name, "/v1/generations/decisions")["decisions"])
            for name in ("owner", "app", "other-app", "other-auditor")
        }
        assert read == {"owner": 1, "app": 1, "other-app": 0, "other-auditor": 0}
        refused(registry.client("reviewer").get("/v1/generations/decisions"), 403, "policy.denied")
