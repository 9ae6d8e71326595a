"""Artefacts are released to whoever draws a permitted generation; its result is recorded once."""

from __future__ import annotations

from typing import Any

import pytest
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

from sdk.signing.receipts import verify_receipt
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.manifest import ArtefactRole

SHRINE = ConceptId("demo/shrine")
LEARNED = learned_embedding(b"e", FOX)


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
