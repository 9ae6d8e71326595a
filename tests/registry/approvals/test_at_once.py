"""Several people at the very same moment, over HTTP, in real threads on a real PostgreSQL: one wins, the others are told.

`test_waiting` has the same pairs one after the other, each held open while the next one waits; here nobody says who is
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import Steps, Submitted, accepted, refused

from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.ids import AliasName, ConceptId
from sdk.spec.manifest import ConceptKind
from sdk.spec.review import Assignment, ReviewRequest

ROUNDS = 3
Act = Callable[[], httpx.Response]


def act(registry: RegistryUnderTest, name: str, path: str, body: WireModel) -> Act:
    """A request that is ready to go, on a connection of its own."""
    headers = {"Authorization": f"Bearer {registry.credentials[name]}", "Content-Type": "application/json"}
    content = encode_canonical(body)
    client = httpx.Client(base_url=BASE_URL, headers=headers, transport=AsgiTransport(registry.app))
    return lambda: client.post(path, content=content)


def together(*acts: Act) -> Sequence[httpx.Response]:
    """The answers to requests that all start at once."""
    start = Barrier(len(acts))

    def go(one: Act) -> httpx.Response:
        start.wait()
        return one()

    with ThreadPoolExecutor(max_workers=len(acts)) as threads:
        return list(threads.map(go, acts))


def one_winner(answers: Sequence[httpx.Response]) -> httpx.Response:
    """The only good answer; all the others must be a clear Conflict."""
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: len(answers) - 1}, [
        answer.text for answer in answers
    ]
    for answer in answers:
        if answer.status_code == 409:
            assert len(refused(answer, 409, "resource.conflict")["detail"]) > 20
    return next(answer for answer in answers if answer.status_code == 201)


def concept(number: int) -> ConceptId:
    return ConceptId(f"demo/thing-{number}")


def rounds(steps: Steps, make: Callable[..., Submitted], **changes: object) -> list[Submitted]:
    return [make(concept(number), embedding=f"{number}".encode(), **changes) for number in range(ROUNDS)]


class TestAtOnce:
    def test_two_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.submitted):
            path = f"{version.path}/reviews"
            people = ("reviewer", "second-reviewer")
            answers = together(*(act(registry, who, path, steps.approval(version, who)) for who in people))
            assert accepted(one_winner(answers))["status"] == "approved"
            assert Counter(event for event, _ in steps.events(version.name))["approval:signed"] == 1

    def test_two_reviewers_of_a_person_both_count_in_the_end(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.submitted, kind=ConceptKind.PERSON):
            path = f"{version.path}/reviews"
            people = ("reviewer", "second-reviewer")
            answers = together(*(act(registry, who, path, steps.approval(version, who)) for who in people))
            for who, answer in zip(people, answers, strict=True):
                if answer.status_code == 409:  # told to look again, and does
                    accepted(steps.review(version, who))
            assert steps.get("app", version.path)["status"] == "approved"

    def test_one_reviewer_with_two_minds(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.submitted, kind=ConceptKind.PERSON):
            minds = [steps.approval(version, "reviewer", comment=words) for words in ("yes", "yes, but", "well")]
            one_winner(together(*(act(registry, "reviewer", f"{version.path}/reviews", mind) for mind in minds)))
            assert len(steps.get("app", version.path)["approvals"]) == 1

    def test_two_revokers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.approved):
            acts = [
                act(registry, who, f"{version.path}/revocation", steps.revocation(version, who))
                for who in ("reviewer", "second-reviewer")
            ]
            assert accepted(one_winner(together(*acts)))["status"] == "revoked"
            assert Counter(event for event, _ in steps.events(version.name))["version:revoked"] == 1

    def test_two_who_put_up_one_draft(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.drafted):
            path = f"{version.path}/review-request"
            won = accepted(
                one_winner(together(*(act(registry, who, path, ReviewRequest()) for who in ("owner", "trainer"))))
            )
            tasks = steps.get("auditor", "/v1/reviews")["tasks"]
            (task,) = [task for task in tasks if task["concept"] == version.concept]
            assert task["requested_by"] == won["requested_by"]

    def test_two_submissions_of_one_manifest_are_one_version(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for number in range(ROUNDS):
            manifest = steps.manifest(concept(number), embedding=f"{number}".encode())
            with ThreadPoolExecutor(max_workers=3) as threads:
                answers = list(threads.map(steps.submit, [manifest] * 3))
            views = [accepted(answer) for answer in answers]
            assert all(view == views[0] for view in views)
            assert len(steps.events(f"{manifest.concept}@1")) == 1

    def test_two_submissions_of_two_manifests_are_two_versions(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        manifests = [steps.manifest(embedding=content) for content in (b"1", b"2", b"3")]
        with ThreadPoolExecutor(max_workers=3) as threads:
            answers = list(threads.map(steps.submit, manifests))
        assert sorted(accepted(answer)["number"] for answer in answers) == [1, 2, 3]

    def test_two_who_move_one_alias(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.approved):
            swap = AliasChange(concept=version.concept, alias=AliasName("stable"), number=1, expected=0)
            body = AliasChanges(changes=(swap,))
            one_winner(together(*(act(registry, who, "/v1/aliases", body) for who in ("owner", "reviewer", "trainer"))))

    def test_two_who_assign(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for version in rounds(steps, steps.submitted):
            acts = [
                act(
                    registry,
                    who,
                    f"{version.path}/assignment",
                    Assignment(reviewers=(registry.principals[who],), expected=0),
                )
                for who in ("reviewer", "second-reviewer")
            ]
            one_winner(together(*acts))

    @pytest.mark.parametrize("first", ["1", "2"])
    def test_two_versions_of_one_concept_leave_one_approved(self, registry: RegistryUnderTest, first: str) -> None:
        steps = Steps(registry)
        one, two = steps.submitted(embedding=b"1"), steps.submitted(embedding=b"2")
        acts = [
            act(registry, who, f"{version.path}/reviews", steps.approval(version, who))
            for version, who in ((one, "reviewer"), (two, "second-reviewer"))
        ]
        answers = together(*(acts if first == "1" else acts[::-1]))
        assert {answer.status_code for answer in answers} <= {201, 409}
        statuses = Counter(steps.get("app", version.path)["status"] for version in (one, two))
        assert statuses["approved"] == 1
        assert statuses["submitted"] + statuses["superseded"] == 1
