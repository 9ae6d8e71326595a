"""Tests of registry.reviews: drafts put up for review, the queue, assignments, comments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.at_once import one_after_the_other
from support.registry import RegistryUnderTest
from support.versions import (
    Steps,
    Submitted,
    accepted,
    assert_insert_only,
    caller,
    refused,
)

from registry.reviews import service
from sdk.errors import Conflict, ProofInvalid
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import ConceptId, PrincipalId, parse_version_ref
from sdk.spec.manifest import ConceptKind
from sdk.spec.review import Assignment, Comment, NewComment, ReviewRequest
from sdk.verify import verify_version

DEN = ConceptId("demo/den")


def queue(registry: RegistryUnderTest, name: str = "reviewer", **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = accepted(registry.client(name).get("/v1/reviews", params=filters))["tasks"]
    return found


def names(tasks: list[dict[str, Any]]) -> list[str]:
    return [f"{task['concept']}@{task['number']}" for task in tasks]


def hours(registry: RegistryUnderTest, count: float) -> datetime:
    return registry.clock.now + timedelta(hours=count)


class TestDraft:
    def test_waits_for_nobody_until_its_review_is_asked_for(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        assert steps.get("app", version.path)["status"] == "draft"
        assert queue(registry) == []
        refused(steps.review(version), 409, "resource.conflict", "is draft, so approve is not possible")
        refused(steps.reject(version), 409, "resource.conflict", "is draft")
        refused(steps.assign(version, "reviewer"), 409, "resource.conflict", "is draft")
        task = accepted(steps.ask(version))
        assert (task["status"], task["requested_by"]) == ("submitted", "demo/owner")
        assert steps.events(version.name)[-1] == ("review:requested", "demo/owner")
        assert accepted(steps.review(version))["status"] == "approved"

    def test_proves_who_asked_to_whoever_verifies_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        accepted(steps.ask(version))
        accepted(steps.review(version))
        bundle = VersionBundle.model_validate(steps.get("app", version.path))
        given = {
            "ref": parse_version_ref(version.name),
            "trust": registry.runtime.trust_root,
            "now": registry.clock.now,
            "status_list": registry.client(None).get("/v1/status/demo/0").content,
        }
        assert verify_version(bundle, **given).requester == "demo/owner"
        with pytest.raises(ProofInvalid, match="nothing proves who asked"):
            verify_version(bundle.model_copy(update={"request_receipt": None}), **given)

    def test_is_put_up_by_its_owner_or_trainer_only(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        for name in ("reviewer", "app", "auditor", "training-service"):
            refused(steps.ask(version, name), 403, "auth.forbidden", "neither")
        refused(steps.ask(version, "other-owner"), 404, "resource.not_found")
        grant = {"principal": "demo/trainer", "roles": ["app"]}
        registry.credentials["narrow"] = accepted(registry.client("admin").post("/v1/credentials", json=grant))["text"]
        refused(steps.ask(version, "narrow"), 403, "auth.forbidden", "needs owner or trainer")
        assert accepted(steps.ask(version, "trainer"))["requested_by"] == "demo/trainer"

    def test_is_put_up_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        accepted(steps.ask(version))
        refused(steps.ask(version, "trainer"), 409, "resource.conflict", "is submitted, so submit is not possible")
        refused(steps.ask(steps.submitted(embedding=b"2")), 409, "resource.conflict", "is submitted")

    def test_may_come_with_reviewers_and_a_date(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        due = hours(registry, 48)
        task = accepted(steps.ask(steps.drafted(), reviewers=("demo/reviewer",), due_at=due))
        assert (task["reviewers"], task["due_at"], task["assignment"]) == (["demo/reviewer"], "2026-06-03T12:00:00Z", 1)

    def test_stays_one_when_what_it_comes_with_is_refused(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        refused(steps.ask(version, reviewers=("demo/app",)), 422, "input.invalid", "demo/app cannot review")
        assert steps.get("app", version.path)["status"] == "draft"
        assert steps.events(version.name) == [("version:submitted", "demo/training-service")]


class TestQueue:
    def test_tells_what_waits_and_what_it_needs(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted(kind=ConceptKind.PERSON)
        accepted(steps.review(version))
        accepted(steps.comment(version))
        (task,) = queue(registry)
        assert task == {
            "concept": "demo/fox",
            "number": 1,
            "kind": "person",
            "risk_class": "person",
            "status": "in-review",
            "owner": "demo/owner",
            "trainer_of_record": "demo/trainer",
            "requested_by": "demo/trainer",
            "requested_at": "2026-06-01T12:00:00Z",
            "approvals": 1,
            "approvals_required": 2,
            "may_review": ["demo/reviewer", "demo/second-reviewer"],
            "reviewers": [],
            "due_at": None,
            "overdue": False,
            "assignment": 0,
            "comments": 1,
        }

    def test_is_empty_once_everything_is_decided(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        accepted(steps.reject(steps.submitted(embedding=b"2")))
        assert queue(registry) == []

    def test_comes_in_pages_that_neither_repeat_nor_skip(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for name, due in (("plain", None), ("later", 40), ("also-plain", None), ("sooner", 20), ("also-sooner", 20)):
            version = steps.submitted(ConceptId(f"demo/{name}"), embedding=name.encode())
            if due:
                accepted(steps.assign(version, "reviewer", due_at=hours(registry, due)))
        found: list[str] = []
        asked: dict[str, str] = {"limit": "2"}
        while True:
            page = accepted(registry.client("reviewer").get("/v1/reviews", params=asked))
            found += [task["concept"] for task in page["tasks"]]
            assert len(page["tasks"]) <= 2
            if len(found) == 2:  # what comes meanwhile is on a later page
                steps.submitted(ConceptId("demo/new"), embedding=b"new")
            if page["next_cursor"] is None:
                break
            asked["cursor"] = page["next_cursor"]
        names = ("sooner", "also-sooner", "later", "plain", "also-plain", "new")
        assert found == [f"demo/{name}" for name in names]
        mine = accepted(registry.client("reviewer").get("/v1/reviews?reviewer=demo/reviewer&limit=2"))
        assert mine["next_cursor"]
        bad = registry.client("reviewer").get("/v1/reviews?cursor=bm9uZQ")
        refused(bad, 422, "input.invalid", "none of this list")

    def test_puts_what_is_overdue_first_then_what_is_due(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        made: dict[str, Submitted] = {}
        for name, due in (("plain", None), ("later", 40), ("sooner", 20), ("late", 1)):
            made[name] = steps.submitted(ConceptId(f"demo/{name}"), embedding=name.encode())
            if due:
                accepted(steps.assign(made[name], due_at=hours(registry, due)))
        registry.clock.advance(hours=2)
        tasks = queue(registry)
        assert names(tasks) == ["demo/late@1", "demo/sooner@1", "demo/later@1", "demo/plain@1"]
        assert [task["overdue"] for task in tasks] == [True, False, False, False]
        assert names(queue(registry, overdue=True)) == ["demo/late@1"]

    def test_of_one_reviewer_is_what_they_are_assigned(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        steps.submitted(DEN, embedding=b"2")
        accepted(steps.assign(version, "second-reviewer"))
        assert names(queue(registry, reviewer="demo/second-reviewer")) == ["demo/fox@1"]
        assert queue(registry, reviewer="demo/reviewer") == []

    def test_is_for_who_reviews_owns_trains_or_audits(self, registry: RegistryUnderTest) -> None:
        for name in ("reviewer", "owner", "trainer", "auditor"):
            assert queue(registry, name) == []
        for name in ("app", "training-service"):
            refused(registry.client(name).get("/v1/reviews"), 403, "auth.forbidden")


class TestAssign:
    def test_the_newest_holds_and_each_is_logged(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.assign(version, "second-reviewer", due_at=hours(registry, 5)))
        task = accepted(steps.assign(version, "reviewer", name="second-reviewer"))
        assert (task["reviewers"], task["due_at"], task["assignment"]) == (["demo/reviewer"], None, 2)
        assert steps.events(version.name)[1:] == [
            ("review:assigned", "demo/reviewer"),
            ("review:assigned", "demo/second-reviewer"),
        ]
        assert_insert_only(registry, "review_assignments")

    def test_only_of_who_may_review(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        for unable in ("owner", "trainer", "app", "other-reviewer"):
            says = f"{registry.principals[unable]} cannot review demo/fox@1"
            refused(steps.assign(version, unable), 422, "input.invalid", says)

    def test_is_a_plan_and_no_rule(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.assign(version, "second-reviewer"))
        assert accepted(steps.review(version, "reviewer"))["status"] == "approved"

    def test_is_for_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        for name in ("owner", "trainer", "app", "auditor"):
            refused(steps.assign(version, "reviewer", name=name), 403, "auth.forbidden")
        refused(steps.assign(version, name="other-reviewer"), 404, "resource.not_found")

    def test_not_to_a_moment_that_has_passed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        answer = steps.assign(steps.submitted(), "reviewer", due_at=registry.clock.now)
        refused(answer, 422, "input.invalid", "which has passed")

    def test_compares_with_what_was_expected(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.assign(version, "reviewer", expected=0))
        answer = steps.assign(version, "second-reviewer", expected=0)
        refused(answer, 409, "resource.conflict", "was assigned 1 times, by demo/reviewer, not 0")

    def test_two_at_once_expecting_the_same_have_one_winner(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).submitted()

        def take(name: str) -> Any:
            who = caller(registry, name)
            wanted = Assignment(reviewers=(who.principal,), expected=0)
            return lambda session: service.assign(session, registry.runtime, who, version.concept, 1, wanted)

        late = one_after_the_other(registry, take("reviewer"), take("second-reviewer"))
        assert isinstance(late, Conflict)
        assert queue(registry)[0]["reviewers"] == ["demo/reviewer"]


class TestComment:
    def listed(self, registry: RegistryUnderTest, version: Submitted, name: str = "auditor") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = Steps(registry).get(name, f"{version.path}/comments")["comments"]
        return found

    def test_is_kept_in_order_with_what_it_replies_to(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        accepted(steps.comment(version, "is the mask of picture 3 right?"))
        registry.clock.advance(hours=1)
        accepted(steps.comment(version, "it is; 見てください", "owner", reply_to=1))
        said = [entry["comment"] for entry in self.listed(registry, version)]
        assert [(one["comment"], one["author"], one.get("reply_to")) for one in said] == [
            (1, "demo/reviewer", None),
            (2, "demo/owner", 1),
        ]
        assert said[1]["text"] == "it is; 見てください"
        assert_insert_only(registry, "review_comments")

    def test_the_log_holds_the_digest_of_just_what_is_shown(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        first, second = (accepted(steps.comment(version, "the same words")) for _ in range(2))
        for logged in (first, second):
            entries = accepted(
                registry.client("auditor").get("/v1/log/entries", params={"event": "review:commented", "limit": 10})
            )["entries"]
            entry = next(entry for entry in entries if entry["index"] == logged["log_index"])
            assert entry["entry"]["evidence"]["comment"] == Comment.model_validate(logged["comment"]).digest
            assert "words" not in str(entry)
        assert first["comment"]["nonce"] != second["comment"]["nonce"]

    def test_goes_on_after_the_decision(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        accepted(steps.comment(steps.approved(), "for the next version: more pictures"))

    def test_replies_to_what_is_there(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        refused(steps.comment(version, reply_to=1), 404, "resource.not_found", "has 0 comments")

    def test_is_for_who_reviews_owns_or_trains(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        for name in ("app", "auditor", "training-service"):
            refused(steps.comment(version, name=name), 403, "auth.forbidden")
        refused(registry.client("app").get(f"{version.path}/comments"), 403, "auth.forbidden")
        refused(steps.comment(version, name="other-reviewer"), 404, "resource.not_found")

    @pytest.mark.parametrize("text", ["", "x" * 4001, "a\\u0000b"])
    def test_is_text_of_a_bounded_length(self, registry: RegistryUnderTest, text: str) -> None:
        version = Steps(registry).submitted()
        answer = registry.client("reviewer").post(
            f"{version.path}/comments",
            content=f'{{"text": "{text}"}}',
            headers={"Content-Type": "application/json"},
        )
        refused(answer, 422, "input.invalid")

    def test_two_at_once_are_both_kept(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).submitted()

        def say(name: str) -> Any:
            who = caller(registry, name)
            new = NewComment(text=name)
            return lambda session: service.comment(session, registry.runtime, who, version.concept, 1, new)

        one_after_the_other(registry, say("reviewer"), say("second-reviewer"))
        assert [entry["comment"]["text"] for entry in self.listed(registry, version)] == ["reviewer", "second-reviewer"]


class TestTwoAtOnce:
    def test_put_up_one_draft_and_one_of_them_wins(self, registry: RegistryUnderTest) -> None:
        version = Steps(registry).drafted()

        def ask(name: str) -> Any:
            who = caller(registry, name)
            return lambda session: service.ask(session, registry.runtime, who, version.concept, 1, ReviewRequest())

        late = one_after_the_other(registry, ask("owner"), ask("trainer"))
        assert isinstance(late, Conflict)
        assert queue(registry)[0]["requested_by"] == PrincipalId("demo/owner")
