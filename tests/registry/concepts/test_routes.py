"""Tests of registry.concepts and of reading concepts."""

from __future__ import annotations

from datetime import timedelta

from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, assert_insert_only, refused

from sdk.spec.api import NewConcept
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind

NEW = NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="A fox")


class TestCreate:
    def test_the_caller_owns_what_it_creates(self, registry: RegistryUnderTest) -> None:
        view = accepted(Steps(registry).post("owner", "/v1/concepts", NEW))
        assert (view["id"], view["owner"], view["kind"]) == ("demo/fox", "demo/owner", "subject")

    def test_is_logged(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.post("owner", "/v1/concepts", NEW)
        assert steps.events("demo/fox") == [("concept:created", "demo/owner")]

    def test_refuses_a_name_that_is_taken(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.post("owner", "/v1/concepts", NEW)
        refused(steps.post("owner", "/v1/concepts", NEW), 409, "resource.conflict", "demo/fox exists already")

    def test_refuses_callers_who_are_no_owners(self, registry: RegistryUnderTest) -> None:
        refused(Steps(registry).post("reviewer", "/v1/concepts", NEW), 403, "auth.forbidden", "owner")

    def test_refuses_concepts_of_another_tenant(self, registry: RegistryUnderTest) -> None:
        refused(Steps(registry).post("other-owner", "/v1/concepts", NEW), 403, "auth.forbidden", "of other")

    def test_refuses_callers_without_a_credential(self, registry: RegistryUnderTest) -> None:
        refused(Steps(registry).post(None, "/v1/concepts", NEW), 401, "auth.required")


class TestRead:
    def test_lists_the_concepts_of_the_tenant_by_name(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for name in ("demo/shrine", "demo/fox"):
            steps.concept(ConceptId(name))
        assert [view["id"] for view in steps.get("app", "/v1/concepts")["concepts"]] == ["demo/fox", "demo/shrine"]
        assert steps.get("other-app", "/v1/concepts")["concepts"] == []

    def test_tells_the_approved_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        assert "approved_number" not in {k for k, v in steps.get("app", "/v1/concepts/demo/fox").items() if v}
        accepted(steps.review(version))
        assert steps.get("app", "/v1/concepts/demo/fox")["approved_number"] == 1
        registry.clock.advance(seconds=timedelta(days=101).total_seconds())
        assert steps.get("app", "/v1/concepts/demo/fox")["approved_number"] is None

    def test_concepts_of_another_tenant_are_not_found(self, registry: RegistryUnderTest) -> None:
        Steps(registry).concept()
        refused(registry.client("other-owner").get("/v1/concepts/demo/fox"), 404, "resource.not_found")

    def test_a_path_that_is_no_concept_id_is_refused(self, registry: RegistryUnderTest) -> None:
        refused(registry.client("app").get("/v1/concepts/demo/Fox"), 422, "format.invalid")


class TestEvidence:
    def test_a_concept_is_never_changed_or_removed(self, registry: RegistryUnderTest) -> None:
        Steps(registry).concept()
        assert_insert_only(registry, "concepts")
