"""Artefacts are released to whoever draws a permitted generation; its result is recorded once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from sqlalchemy import text
from support.governed import learned_embedding
from support.registry import RegistryUnderTest
from support.versions import (
    FOX,
    Steps,
    Submitted,
    accepted,
    refused,
    rules_of,
)

from registry.auth import Caller
from registry.generations.results import record_result
from sdk.signing.receipts import verify_receipt
from sdk.spec.api import GenerationGrant
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.log_entry import LogReceipt
from sdk.spec.manifest import ArtefactRole
from sdk.spec.policy import Role

SHRINE = ConceptId("demo/shrine")
LEARNED = learned_embedding(b"e", FOX)


GENERATIONS = "/v1/generations"


def opened(steps: Steps) -> str:
    """The only generation there is."""
    (view,) = steps.get("auditor", GENERATIONS)["generations"]
    return str(view["id"])


def denied(steps: Steps, *versions: Submitted, **changes: Any) -> list[str]:
    return rules_of(refused(steps.compose(*versions, **changes), 403, "policy.denied"))


class TestArtefacts:
    def fetch(self, registry: RegistryUnderTest, generation: str, content: bytes = LEARNED, name: str = "app") -> Any:
        return registry.client(name).get(f"/v1/generations/{generation}/artefacts/{Digest.of(content)}")

    def test_go_to_the_application_and_are_logged_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        generation = accepted(steps.compose(steps.approved()))["id"]
        for _ in range(2):
            answer = self.fetch(registry, generation)
            assert (answer.status_code, answer.content) == (200, LEARNED)
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


class TestWithTheGrant:
    def ask(self, steps: Steps, *versions: Submitted, name: str = "app", **changes: Any) -> Any:
        return steps.post(name, "/v1/generations?release=true", steps.intent(*versions, **changes))

    def test_embeddings_come_in_its_very_act(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
        answer = self.ask(steps, fox, shrine)
        grant = GenerationGrant.model_validate(accepted(answer))
        assert [artefact.content for artefact in grant.released or ()] == [LEARNED, learned_embedding(b"s", SHRINE)]
        assert answer.headers["cache-control"] == "no-store"
        told = ["generation:permitted", "artefact:released", "artefact:released"]
        assert [event for event, _ in steps.events(grant.id)] == told

    def test_nothing_comes_unasked(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        assert "released" not in accepted(steps.compose(steps.approved()))

    def test_nothing_comes_with_a_refusal(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        refused(self.ask(steps, steps.submitted()), 403, "policy.denied")
        assert "artefact:released" not in [event for event, _ in steps.events()]

    def test_they_are_for_whoever_draws(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        answer = self.ask(steps, steps.approved(), executor=PrincipalId("demo/renderer"))
        refused(answer, 422, "input.invalid", "demo/renderer is to draw")
        assert steps.get("auditor", "/v1/generations")["generations"] == []

    def test_the_same_intent_again_brings_them_again_and_is_logged_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        first, again = (accepted(self.ask(steps, fox)) for _ in range(2))
        assert first["released"] == again["released"]
        assert [event for event, _ in steps.events(first["id"])] == ["generation:permitted", "artefact:released"]

    def test_a_key_under_which_they_came_does_not_keep_them(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        body = encode_canonical(steps.intent(steps.approved()))
        headers = {"Idempotency-Key": "i" * 16, "Content-Type": "application/json"}
        target = "/v1/generations?release=true"
        answers = [registry.client("app").post(target, content=body, headers=headers) for _ in range(2)]
        accepted(answers[0])
        refused(answers[1], 409, "resource.conflict", "its answer is not there")
        with registry.engine.connect() as connection:
            assert (
                connection.scalar(text("SELECT body FROM idempotency_keys WHERE key = :key"), {"key": "i" * 16}) is None
            )

    @pytest.mark.parametrize(
        ("end", "status", "code"),
        [
            (lambda steps, fox: steps.revoke(fox), 422, "verification.not_approved"),
            (lambda steps, fox: steps.registry.clock.advance(seconds=600), 403, "auth.forbidden"),
            (
                lambda steps, fox: steps.post(
                    "app", f"{GENERATIONS}/{opened(steps)}/result", steps.result(opened(steps), fox)
                ),
                409,
                "resource.conflict",
            ),
        ],
        ids=["revoked", "expired", "recorded"],
    )
    def test_not_again_once_that_is_over(
        self, registry: RegistryUnderTest, end: Callable[[Steps, Submitted], Any], status: int, code: str
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        accepted(self.ask(steps, fox))
        end(steps, fox)
        refused(self.ask(steps, fox), status, code)


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

    def test_waits_for_whoever_records_one_and_then_sees_it(self, registry: RegistryUnderTest) -> None:
        steps, tenant = Steps(registry), TenantName("demo")
        generation, fox = self.opened(steps)
        app = Caller(principal=registry.principals["app"], tenant=tenant, roles=frozenset({Role.APP}))
        with ThreadPoolExecutor() as threads:
            with registry.runtime.transaction(tenant) as session:
                record_result(session, registry.runtime, app, RecordId(generation), steps.result(generation, fox))
                second = threads.submit(self.record, steps, generation, fox, images=(b"other",))
                assert not wait([second], timeout=0.5).done
            refused(second.result(timeout=60), 409, "resource.conflict", "a result is final")

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
