"""Webhooks against a real receiver: signature, order, retries, giving up, replay, and the queue."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from sqlalchemy import event
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest, signer_of
from support.versions import accepted, refused
from support.webhook_receiver import Receiver, verify

from registry.app import create_app
from registry.outbound import UnsafeLoopbackAddresses, resolve_by_system
from registry.webhooks.delivery import AT_ONCE, PAUSES, TURN, Due, deliver, due
from registry.webhooks.sending import Attempt, Message, Sender, signed_headers
from registry.webhooks.worker import make_worker
from sdk.spec.ids import TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.webhooks import WebhookEventType

DEMO = TenantName("demo")
ISSUED = ["credential.issued"]


@pytest.fixture
def sender() -> Sender:
    with pytest.warns(RuntimeWarning, match="for tests only"):
        return Sender(signer_of("webhook"), UnsafeLoopbackAddresses(resolve_by_system))


@pytest.fixture
def admin(registry: RegistryUnderTest) -> Iterator[httpx.Client]:
    """The administrator of a registry that may send to this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runtime = replace(registry.runtime, addresses=UnsafeLoopbackAddresses(resolve_by_system))
    headers = {"Authorization": f"Bearer {registry.credentials['admin']}"}
    with httpx.Client(base_url=BASE_URL, headers=headers, transport=AsgiTransport(create_app(runtime))) as client:
        yield client


def subscribe(admin: httpx.Client, receiver: Receiver, events: list[str] = ISSUED) -> Due:
    made = accepted(admin.post("/v1/webhooks", json={"url": f"{receiver.address}/in", "events": events}))
    return Due(webhook=made["id"], tenant=DEMO)


def issue(admin: httpx.Client, *names: str) -> None:
    for name in names:
        accepted(admin.post("/v1/credentials", json={"principal": f"demo/{name}", "roles": ["app"]}))


def state(admin: httpx.Client, work: Due) -> dict[str, Any]:
    views = accepted(admin.get("/v1/webhooks"))["webhooks"]
    found: dict[str, Any] = next(view for view in views if view["id"] == work.webhook)
    return found


def outcomes(admin: httpx.Client, work: Due) -> list[tuple[str, int]]:
    page = accepted(admin.get(f"/v1/webhooks/{work.webhook}/deliveries"))
    return [(view["outcome"], view["attempts"]) for view in page["deliveries"]]


class TestDelivery:
    def test_sends_what_was_subscribed_in_order_and_signed(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        issue(admin, "before")
        work = subscribe(admin, receiver)
        issue(admin, "one", "two", "three")
        assert deliver(registry.runtime, work, sender) == 3
        key = accepted(admin.get("/v1/webhooks/key"))["public_key"]
        messages = receiver.verified(key)
        assert [message["data"]["subject"] for message in messages] == ["demo/one", "demo/two", "demo/three"]
        assert {message["type"] for message in messages} == {"credential.issued"}
        assert [message["data"]["index"] for message in messages] == sorted(m["data"]["index"] for m in messages)
        assert outcomes(admin, work) == [("delivered", 1)] * 3
        assert deliver(registry.runtime, work, sender) == 0

    def test_a_changed_message_does_not_verify(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")
        deliver(registry.runtime, work, sender)
        key = accepted(admin.get("/v1/webhooks/key"))["public_key"]
        headers, body = receiver.came[0]
        verify(key, headers, body)
        for changed, content in (
            (headers, body + b" "),
            (headers | {"webhook-timestamp": "1"}, body),
            (headers | {"webhook-id": "msg_other"}, body),
        ):
            with pytest.raises(InvalidSignature):
                verify(key, changed, content)

    def test_tries_again_after_growing_pauses_and_holds_back_what_comes_later(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one", "two")
        receiver.answers = [500, 503]
        assert deliver(registry.runtime, work, sender) == 0
        assert state(admin, work)["last_fault"] == "answered 500"
        assert deliver(registry.runtime, work, sender) == 0
        assert len(receiver.came) == 1, "the pause is not over"
        registry.clock.advance(seconds=5)
        assert deliver(registry.runtime, work, sender) == 0
        registry.clock.advance(seconds=299)
        assert due_now(registry) == []
        registry.clock.advance(seconds=1)
        assert due_now(registry) == [work]
        assert deliver(registry.runtime, work, sender) == 2
        subjects = [
            m["data"]["subject"] for m in receiver.verified(accepted(admin.get("/v1/webhooks/key"))["public_key"])
        ]
        assert subjects == ["demo/one"] * 3 + ["demo/two"]
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 2
        assert outcomes(admin, work) == [("delivered", 3), ("delivered", 1)]

    def test_gives_up_after_the_last_pause_and_goes_on(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one", "two")
        receiver.answers = [500] * (len(PAUSES) + 1)
        for pause in PAUSES:
            deliver(registry.runtime, work, sender)
            registry.clock.now += pause
        deliver(registry.runtime, work, sender)
        assert deliver(registry.runtime, work, sender) == 1
        assert outcomes(admin, work) == [("given-up", len(PAUSES) + 1), ("delivered", 1)]

    def test_a_receiver_that_is_gone_ends_its_subscription(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")
        receiver.answers = [410]
        deliver(registry.runtime, work, sender)
        assert state(admin, work)["ended_at"] is not None
        assert due_now(registry) == []
        (logged,) = registry.client("auditor").get("/v1/log/entries?event=webhook:ended").json()["entries"]
        said = (logged["entry"]["subject"], logged["entry"]["actor"], logged["entry"]["facts"])
        assert said == (work.webhook, "demo/registry", {"answered": "410"})

    def test_a_redirect_is_a_failure_and_is_not_followed(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")
        receiver.answers, receiver.location = [307], f"{receiver.address}/elsewhere"
        assert deliver(registry.runtime, work, sender) == 0
        assert len(receiver.came) == 1
        assert state(admin, work)["last_fault"] == "answered 307"

    def test_a_crash_between_sending_and_recording_sends_again_under_the_same_id(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")

        class Killed(BaseException):
            """The process ends here."""

        def send_and_die(url: str, message: Message, at: datetime) -> Attempt:
            sender(url, message, at)
            raise Killed

        with pytest.raises(Killed):
            deliver(registry.runtime, work, send_and_die)
        assert deliver(registry.runtime, work, sender) == 1
        assert len(receiver.came) == 2
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
        assert outcomes(admin, work) == [("delivered", 1)]

    def test_of_a_full_queue_takes_turns(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver
    ) -> None:
        work = subscribe(admin, receiver, ["credential.issued"])
        accepted(admin.post(f"/v1/webhooks/{work.webhook}/replay", json={"after": -1}))
        sent: list[str] = []

        def count(url: str, message: Message, at: datetime) -> Attempt:
            sent.append(message.id)
            return Attempt(status=204, fault=None)

        delivered = deliver(registry.runtime, work, count)
        assert delivered == len(set(sent)) <= AT_ONCE

    def test_to_a_slow_receiver_takes_turns(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, *("one", "two", "three", "four"))

        def take_long(url: str, message: Message, at: datetime) -> Attempt:
            registry.clock.now += TURN / 2
            return Attempt(status=204, fault=None)

        assert [deliver(registry.runtime, work, take_long) for _ in range(3)] == [2, 2, 0]

    def test_signs_what_is_flushed(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")
        asked: list[str] = []

        def note(_c: object, _k: object, statement: str, *_: object) -> None:
            asked.append(statement)

        def send(url: str, message: Message, at: datetime) -> Attempt:
            assert any("pg_current_wal_flush_lsn" in statement for statement in asked)
            return sender(url, message, at)

        event.listen(registry.engine, "before_cursor_execute", note)
        assert deliver(registry.runtime, work, send) == 1
        event.remove(registry.engine, "before_cursor_execute", note)


class TestReplay:
    def test_sends_everything_again_under_the_same_ids(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        start = state(admin, work)["position"]
        issue(admin, "one", "two")
        deliver(registry.runtime, work, sender)
        accepted(admin.post(f"/v1/webhooks/{work.webhook}/replay", json={"after": start}))
        assert deliver(registry.runtime, work, sender) == 2
        ids = [headers["webhook-id"] for headers, _ in receiver.came]
        assert ids[:2] == ids[2:]

    def test_never_leaves_anything_out(self, admin: httpx.Client, receiver: Receiver) -> None:
        work = subscribe(admin, receiver)
        beyond = {"after": state(admin, work)["position"] + 1}
        refused(admin.post(f"/v1/webhooks/{work.webhook}/replay", json=beyond), 409, "resource.conflict")

    def test_made_while_a_last_try_is_on_its_way_is_not_undone_by_it(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        work = subscribe(admin, receiver)
        issue(admin, "one")
        receiver.answers = [500] * len(PAUSES)
        for pause in PAUSES:
            deliver(registry.runtime, work, sender)
            registry.clock.now += pause

        def fail_meanwhile(url: str, message: Message, at: datetime) -> Attempt:
            replay = {"after": state(admin, work)["position"]}
            accepted(admin.post(f"/v1/webhooks/{work.webhook}/replay", json=replay))
            return Attempt(status=500, fault="answered 500")

        deliver(registry.runtime, work, fail_meanwhile)
        assert outcomes(admin, work) == []
        assert deliver(registry.runtime, work, sender) == 1
        assert outcomes(admin, work) == [("delivered", 1)]

    def test_of_one_that_ended_is_refused(self, admin: httpx.Client, receiver: Receiver) -> None:
        work = subscribe(admin, receiver)
        accepted(admin.post(f"/v1/webhooks/{work.webhook}/end"))
        for act, body in (("replay", {"after": 0}), ("end", None)):
            refused(admin.post(f"/v1/webhooks/{work.webhook}/{act}", json=body), 409, "resource.conflict")


class TestSubscriptions:
    def test_are_for_administrators_and_logged_without_the_address(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver
    ) -> None:
        body = {"url": "https://hooks.example.com/secret-path", "events": ISSUED}
        problem = refused(registry.client("owner").post("/v1/webhooks", json=body), 403, "policy.denied")
        assert problem["decision"]["reasons"][0]["rule"] == "administration.webhooks-role"
        accepted(registry.client("admin").post("/v1/webhooks", json=body))
        entries = registry.client("auditor").get("/v1/log/entries?limit=1000&event=webhook:created")
        assert entries.json()["entries"]
        assert "secret-path" not in entries.text

    @pytest.mark.parametrize(
        "body",
        [
            {"url": "http://hooks.example.com/", "events": ISSUED},
            {"url": "https://user:pass@hooks.example.com/", "events": ISSUED},
            {"url": "https://hooks.example.com/#part", "events": ISSUED},
            {"url": "ftp://hooks.example.com/", "events": ISSUED},
            {"url": "https://hooks.example.com/", "events": []},
            {"url": "https://hooks.example.com/", "events": ["log.opened"]},
            {"url": "https://hooks.example.com/", "events": ["alias.set", "alias.set"]},
        ],
    )
    def test_refuse_what_cannot_be(self, registry: RegistryUnderTest, body: dict[str, Any]) -> None:
        assert registry.client("admin").post("/v1/webhooks", json=body).status_code == 422

    def test_every_event_type_is_an_event_of_the_log(self) -> None:
        assert {event.logged_as for event in WebhookEventType} <= set(AuditEventType)


def test_the_signature_is_over_id_timestamp_and_body() -> None:
    signer, message = signer_of("webhook"), Message(id="msg_1", content=b'{"a":1}')
    headers = signed_headers(signer, message, datetime.fromtimestamp(1_700_000_000, UTC))
    signature = base64.b64encode(signer.sign(b'msg_1.1700000000.{"a":1}')).decode()
    assert headers["webhook-signature"] == f"v1a,{signature}"


def due_now(registry: RegistryUnderTest) -> list[Due]:
    with registry.runtime.sessions.begin() as session:
        return due(session, registry.clock())


class TestWorker:
    def test_delivers_what_is_logged_while_it_runs(
        self, registry: RegistryUnderTest, admin: httpx.Client, receiver: Receiver, sender: Sender
    ) -> None:
        subscribe(admin, receiver)
        app = make_worker(registry.runtime, sender, lambda: None)

        async def work() -> None:
            async with app.open_async():
                worker = asyncio.create_task(
                    app.run_worker_async(queues=["webhooks"], fetch_job_polling_interval=0.2, concurrency=2)
                )
                await asyncio.to_thread(issue, admin, "one", "two", "three")
                for _ in range(200):
                    if len(receiver.came) >= 3:
                        break
                    await asyncio.sleep(0.1)
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker

        asyncio.run(work())
        key = accepted(admin.get("/v1/webhooks/key"))["public_key"]
        subjects = [message["data"]["subject"] for message in receiver.verified(key)]
        assert subjects == ["demo/one", "demo/two", "demo/three"]
