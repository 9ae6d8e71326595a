"""Tests of registry.idempotency: done once, answered alike, and never replayed to somebody else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from starlette.types import Message
from support.governed import SALT, consent_record
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, refused

from registry.auth import end_credential
from registry.idempotency import IdempotencyKeys
from sdk.spec.api import AliasChange, AliasChanges, NewConcept
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, ConceptId
from sdk.spec.manifest import ConceptKind

KEY = "key-of-this-request"


def create(registry: RegistryUnderTest, name: str = "fox", *, key: str = KEY, who: str = "owner") -> httpx.Response:
    body = NewConcept(id=ConceptId(f"demo/{name}"), kind=ConceptKind.SUBJECT, title=name)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return registry.client(who).post("/v1/concepts", content=encode_canonical(body), headers=headers)


class TestRepetition:
    def test_is_done_once_and_answered_alike(self, registry: RegistryUnderTest) -> None:
        first, again = create(registry), create(registry)
        assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        assert Steps(registry).events("demo/fox") == [("concept:created", "demo/owner")]

    def test_of_an_alias_set_twice_makes_one_entry(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        changes = AliasChanges(changes=(AliasChange(concept=FOX, alias=AliasName("stable"), number=1, expected=0),))
        headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
        answers = [
            registry.client("owner").post("/v1/aliases", content=encode_canonical(changes), headers=headers)
            for _ in range(2)
        ]
        assert accepted(answers[0]) == accepted(answers[1])
        assert len(Steps(registry).events("demo/fox@stable")) == 1

    def test_with_another_body_is_refused(self, registry: RegistryUnderTest) -> None:
        accepted(create(registry))
        refused(create(registry, "den"), 422, "input.invalid", "sent with another request")

    def test_by_another_principal_is_another_request(self, registry: RegistryUnderTest) -> None:
        accepted(create(registry))
        refused(create(registry, who="trainer"), 409, "resource.conflict", "exists already")

    def test_after_a_day_is_a_new_request(self, registry: RegistryUnderTest) -> None:
        accepted(create(registry))
        registry.clock.advance(hours=25)
        refused(create(registry), 409, "resource.conflict", "exists already")

    def test_at_the_same_moment_is_done_once(self, registry: RegistryUnderTest) -> None:
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: create(registry), range(4)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert Steps(registry).events("demo/fox") == [("concept:created", "demo/owner")]


class TestRefusals:
    def test_that_left_no_trace_may_be_tried_again(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        changes = AliasChanges(changes=(AliasChange(concept=FOX, alias=AliasName("stable"), number=1),))
        headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}

        def send() -> httpx.Response:
            return registry.client("owner").post("/v1/aliases", content=encode_canonical(changes), headers=headers)

        refused(send(), 422, "verification.not_approved")
        accepted(steps.review(version))
        accepted(send())

    def test_that_are_on_record_are_replayed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        body = encode_canonical(steps.approval(version, "trainer"))
        headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
        for _ in range(2):
            refused(
                registry.client("trainer").post(f"{version.path}/reviews", content=body, headers=headers),
                403,
                "policy.denied",
            )
        assert [event for event, _ in steps.events(version.name)].count("approval:refused") == 1

    def test_a_key_that_is_none(self, registry: RegistryUnderTest) -> None:
        refused(create(registry, key="short"), 422, "input.invalid", "Idempotency-Key")

    def test_nothing_is_replayed_to_a_credential_that_ended(self, registry: RegistryUnderTest) -> None:
        accepted(create(registry))
        with registry.runtime.transaction() as session:
            end_credential(
                session,
                Digest.of(registry.credentials["owner"].encode()),
                registry.clock(),
                now=registry.clock(),
            )
        refused(create(registry), 401, "auth.required")


class TestUpgrade:
    def test_a_repetition_of_what_older_code_did_does_it_not_again(self, registry: RegistryUnderTest) -> None:
        accepted(create(registry))
        body = encode_canonical(NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="fox"))
        before = Digest.of(b"POST\n/v1/concepts\n\n" + body)
        with registry.engine.begin() as connection:
            connection.execute(text("UPDATE idempotency_keys SET request = :before"), {"before": before})
        refused(create(registry), 409, "resource.conflict", "see what stands")


class TestCrash:
    def test_between_the_act_and_its_answer_does_nothing_twice(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*_: object) -> None:
            raise SystemError("the power went out")

        with monkeypatch.context() as patch:
            patch.setattr(IdempotencyKeys, "_keep", crash)
            assert create(registry).status_code == 500
        refused(create(registry), 409, "resource.conflict", "see what stands")
        with registry.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM concepts")) == 1


class TestAfterTheAct:
    def test_a_fault_is_not_kept_as_the_answer(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object, **__: object) -> None:
            raise OperationalError("SELECT", {}, Exception("connection lost"))

        steps = Steps(registry)
        record = consent_record(steps.concept(), terms=steps.terms(), salt=SALT)

        def give() -> httpx.Response:
            headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
            return registry.client("owner").post("/v1/consents", content=encode_canonical(record), headers=headers)

        with monkeypatch.context() as patch:
            patch.setattr("registry.consent.routes.receipt", away)
            refused(give(), 503, "service.unavailable")
        refused(give(), 409, "resource.conflict", "see what stands")
        assert len(steps.get("owner", "/v1/consents")["consents"]) == 1


class TestAttempts:
    def test_that_were_undone_write_nothing_over_the_answer_of_the_one_that_acted(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep, held = IdempotencyKeys._keep, list[tuple[object, ...]]()
        accepted(create(registry, key="another-key-entirely"))
        with monkeypatch.context() as patch:
            patch.setattr(IdempotencyKeys, "_keep", lambda *told: held.append(told))
            refused(create(registry), 409, "resource.conflict", "exists already")  # undone, and late to say so
            registry.clock.advance(seconds=1)
            accepted(create(registry, "den"))
        undone, acted = held
        for told in (undone, acted, undone):
            keep(*told)  # type: ignore[arg-type]
        assert create(registry, "den").status_code == 201

    def test_with_another_credential_of_the_same_principal_are_another_request(
        self, registry: RegistryUnderTest
    ) -> None:
        accepted(create(registry))
        grant = {"principal": "demo/owner", "roles": ["app"]}
        narrow = accepted(registry.client("admin").post("/v1/credentials", json=grant))["text"]
        headers = {"Authorization": f"Bearer {narrow}", "Idempotency-Key": KEY, "Content-Type": "application/json"}
        body = NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="fox")
        answer = registry.client(None).post("/v1/concepts", content=encode_canonical(body), headers=headers)
        refused(answer, 422, "input.invalid", "another request")


class TestBody:
    def test_of_a_stranger_is_not_read(self, registry: RegistryUnderTest) -> None:
        asked, told = list[int](), list[Message]()

        async def receive() -> Message:
            asked.append(1)
            return {"type": "http.request", "body": bytes(2**20), "more_body": True}

        async def send(message: Message) -> None:
            told.append(message)

        headers = [(b"idempotency-key", KEY.encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/blobs/x", "query_string": b"", "headers": headers}
        asyncio.run(registry.app(scope, receive, send))
        assert (told[0]["status"], asked) == (405, [])

    def test_that_is_too_large_is_said_to_be(self, registry: RegistryUnderTest) -> None:
        def blocks() -> Iterator[bytes]:
            for _ in range(3):
                yield bytes(2**20)  # so its length is not declared

        headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
        answer = registry.client("owner").post("/v1/concepts", content=blocks(), headers=headers)
        refused(answer, 413, "input.too_large", "the body has more than")


class TestEveryPost:
    def test_is_documented_to_take_a_key_and_refuses_one_of_another_request(self, registry: RegistryUnderTest) -> None:
        key = {"Idempotency-Key": "k" * 16}
        body = {"id": "demo/fox", "kind": "subject", "title": "Fox"}
        accepted(registry.client("owner").post("/v1/concepts", json=body, headers=key))
        posts = {path: item["post"] for path, item in registry.app.openapi()["paths"].items() if "post" in item}
        assert len(posts) > 15
        for path, operation in posts.items():
            assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}, path
            answer = registry.client("owner").post(re.sub(r"{[a-z_]+}", "1", path), json={}, headers=key)
            assert (answer.status_code, "another request" in answer.json()["detail"]) == (422, True), path
