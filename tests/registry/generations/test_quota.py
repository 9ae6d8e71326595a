"""Images granted under a licence are counted once each, also under threads and retries, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy import text
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, Submitted, accepted, assert_insert_only, refused, rules_of

from sdk.spec.ids import ConceptId, RecordId

SHRINE = ConceptId("demo/shrine")


def limited(steps: Steps, images: int, *concepts: ConceptId, **changes: Any) -> list[Submitted]:
    """Approved versions of these concepts that all rest on one licence for so many images."""
    named = concepts or (FOX,)
    for concept in named:
        steps.concept(concept)
    licence = RecordId(steps.licence(named[0], covers=named, max_images=images, **changes)["id"])
    return [
        steps.approved(concept, embedding=str(concept).encode(), licences=(licence,), **changes) for concept in named
    ]


def counted(registry: RegistryUnderTest) -> int:
    with registry.engine.connect() as connection:
        return connection.scalar(text("SELECT coalesce(sum(images), 0) FROM licence_uses")) or 0


class TestQuota:
    def test_counts_what_is_granted_until_nothing_is_left(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 5)
        accepted(steps.compose(fox, key="a" * 16, count=3))
        problem = refused(steps.compose(fox, key="b" * 16, count=3), 403, "policy.denied")
        assert rules_of(problem) == ["composition.quota"]
        assert "asked for 3 images; the licences of demo/fox@1 allow 2 more" in problem["detail"]
        accepted(steps.compose(fox, key="c" * 16, count=2))
        refused(steps.compose(fox, key="d" * 16, count=1), 403, "policy.denied")
        assert counted(registry) == 5
        assert_insert_only(registry, "licence_uses")

    def test_a_refusal_counts_nothing(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 5)
        refused(steps.compose(fox, count=6), 403, "policy.denied")
        assert counted(registry) == 0

    def test_an_expired_grant_is_not_given_back(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 2)
        accepted(steps.compose(fox, key="a" * 16, count=2))
        registry.clock.advance(hours=1)
        refused(steps.compose(fox, key="b" * 16, count=1), 403, "policy.denied")

    def test_a_picture_of_two_concepts_counts_once_under_the_licence_of_both(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = limited(steps, 4, FOX, SHRINE)
        accepted(steps.compose(fox, shrine, count=4))
        assert counted(registry) == 4

    def test_the_tightest_licence_decides(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 2)
        (shrine,) = limited(steps, 8, SHRINE)
        problem = refused(steps.compose(fox, shrine, count=3), 403, "policy.denied")
        assert [reason["about"] for reason in problem["decision"]["reasons"]] == ["demo/fox"]

    def test_licences_without_a_limit_are_not_counted(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.compose(steps.approved(), count=64))
        assert counted(registry) == 0


class TestCount:
    def test_is_read_by_the_licences_tenant_only(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 5)
        path = f"/v1/generations/licences/{fox.manifest.licences[0]}"
        assert steps.get("reviewer", path) == {"licence": fox.manifest.licences[0], "granted": 0, "limit": 5}
        accepted(steps.compose(fox, count=3))
        assert steps.get("app", path)["granted"] == 3
        refused(registry.client("other-owner").get(path), 404, "resource.not_found")
        refused(registry.client(None).get(path), 401, "auth.required")


class TestTogether:
    def test_permits_at_the_same_moment_never_exceed_the_licence(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 6)
        answers = at_once(steps, [(fox, f"key-{number:012}") for number in range(6)], count=2)
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 3
        assert counted(registry) == 6

    def test_concepts_that_share_a_licence_are_counted_together(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox, shrine = limited(steps, 4, FOX, SHRINE)
        asked = [((fox, shrine)[number % 2], f"key-{number:012}") for number in range(6)]
        answers = at_once(steps, asked, count=2)
        assert sorted(answer.status_code for answer in answers) == [201] * 2 + [403] * 4
        assert counted(registry) == 4

    def test_retries_at_the_same_moment_are_one_grant(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        (fox,) = limited(steps, 2)
        answers = at_once(steps, [(fox, "k" * 16)] * 5, count=2)
        assert [answer.status_code for answer in answers] == [201] * 5
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert counted(registry) == 2


def at_once(steps: Steps, asked: list[tuple[Submitted, str]], *, count: int) -> list[httpx.Response]:
    """Every intent in a thread of its own."""
    steps.registry.client("app")  # made before the threads share it
    with ThreadPoolExecutor(max_workers=len(asked)) as threads:
        waiting = [threads.submit(steps.compose, version, key=key, count=count) for version, key in asked]
        return [each.result(timeout=60) for each in waiting]
