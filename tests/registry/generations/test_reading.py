"""Who may read generations and decisions, and that nobody changes what is recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.registry import RegistryUnderTest
from support.versions import (
    Steps,
    Submitted,
    accepted,
    assert_insert_only,
    refused,
    rules_of,
)

from sdk.spec.api import DecisionPage
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId

SHRINE = ConceptId("demo/shrine")


def denied(steps: Steps, *versions: Submitted, **changes: Any) -> list[str]:
    return rules_of(refused(steps.compose(*versions, **changes), 403, "policy.denied"))


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
        registry.client("app").get(
            f"/v1/generations/{generation}/artefacts/{Digest.of(fox.embedding)}"
        ).raise_for_status()
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
