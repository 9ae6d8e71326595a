"""The worker's slots: what receivers hold up, and what they do not; and what a worker that died leaves behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

import httpx
import procrastinate
import pytest
from sqlalchemy import text
from support.asgi import AsgiTransport
from support.dripping import dripping_receiver
from support.processes import eventually
from support.registry import BASE_URL, RegistryUnderTest, signer_of
from support.versions import accepted

from registry.app import create_app
from registry.outbound import UnsafeLoopbackAddresses, resolve_by_system
from registry.webhooks.sending import Attempt, Message, Sender
from registry.webhooks.worker import make_worker, run_slots

pytestmark = pytest.mark.filterwarnings("ignore:webhooks may reach this machine")


@pytest.fixture
def admin(registry: RegistryUnderTest) -> Iterator[httpx.Client]:
    """The administrator of a registry that may send to this machine."""
    runtime = replace(registry.runtime, addresses=UnsafeLoopbackAddresses(resolve_by_system))
    headers = {"Authorization": f"Bearer {registry.credentials['admin']}"}
    with httpx.Client(base_url=BASE_URL, headers=headers, transport=AsgiTransport(create_app(runtime))) as client:
        yield client


def subscribe(admin: httpx.Client, url: str) -> str:
    made = accepted(admin.post("/v1/webhooks", json={"url": url, "events": ["credential.issued"]}))
    return str(made["id"])


def issue(admin: httpx.Client) -> None:
    accepted(admin.post("/v1/credentials", json={"principal": "demo/shop", "roles": ["app"]}))


@asynccontextmanager
async def working(app: procrastinate.App) -> AsyncIterator[None]:
    """The worker works in the block."""
    task = asyncio.create_task(run_slots(app))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def comes(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes to hold, while the loop goes on."""
    return await asyncio.to_thread(eventually, condition, 30.0)


class TestUpkeep:
    def test_is_done_while_receivers_hold_every_slot_of_deliveries(
        self, registry: RegistryUnderTest, admin: httpx.Client
    ) -> None:
        done = threading.Event()
        sender = Sender(signer_of("webhook"), UnsafeLoopbackAddresses(resolve_by_system), seconds=60)
        app = make_worker(registry.runtime, sender, done.set)

        async def run() -> None:
            async with working(app):
                assert await comes(done.is_set), "what was due before is made up for"
                done.clear()
                with dripping_receiver(then=b"HTTP/1.1 200 OK") as receiver:
                    for _ in range(5):
                        subscribe(admin, receiver.address)
                    issue(admin)
                    assert await comes(lambda: receiver.held == 4)
                    await app.tasks["upkeep"].defer_async(timestamp=0)
                    assert await comes(done.is_set)
                    assert receiver.held == 4

        asyncio.run(run())


class TestADeadWorker:
    def test_leaves_nothing_that_holds_up_its_subscription(
        self, registry: RegistryUnderTest, admin: httpx.Client
    ) -> None:
        webhook = subscribe(admin, "http://127.0.0.1:9/")
        with registry.engine.begin() as connection:  # as when it was killed, and others saw that it is gone
            connection.execute(
                text(
                    "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status) VALUES (:q, 'deliver', :w, 'doing')"
                ),
                {"q": "webhooks", "w": webhook},
            )
        sent = threading.Event()

        def send(url: str, message: Message, at: datetime) -> Attempt:
            sent.set()
            return Attempt(status=204, fault=None)

        async def run() -> None:
            async with working(make_worker(registry.runtime, send, lambda: None)):
                issue(admin)
                assert await comes(sent.is_set)

        asyncio.run(run())
