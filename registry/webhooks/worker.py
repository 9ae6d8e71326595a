"""The process that delivers webhooks, on the job queue (Procrastinate), beside the registry's servers.

Every few seconds whoever has something to send gets a job; a job's lock is its subscription, so that its messages stay in
order whichever worker takes it, and a queued job is not queued twice. A job that is lost is made again: what there is to
send is told by the log, not by the queue. Several workers may run. Beside that it does, every `UPKEEP_MINUTES`, what the clock
asks for: `upkeep`, which may be done by several at once, and in a slot of its own: no receiver holds it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text

from registry.db import libpq_url
from registry.runtime import Runtime
from registry.webhooks.delivery import Due, deliver, due
from registry.webhooks.sending import Send
from sdk.spec.ids import TenantName

WEBHOOK_QUEUE: Final = "webhooks"
UPKEEP_QUEUE: Final = "registry-upkeep"
LOOK_SECONDS: Final = 2
UPKEEP_MINUTES: Final = 10
_HEARTBEAT_SECONDS: Final = 5
_STALLED_SECONDS: Final = 30
_SLOTS: Final = {WEBHOOK_QUEUE: 4, UPKEEP_QUEUE: 1}
_CONNECTIONS: Final = sum(_SLOTS.values()) + 2
_SWEEP: Final = text(
    "DELETE FROM procrastinate_jobs WHERE queue_name = ANY(:queues) AND status = 'doing' AND worker_id IS NULL"
)


def make_worker(runtime: Runtime, send: Send, upkeep: Callable[[], object]) -> procrastinate.App:
    """The Procrastinate application of a worker process."""
    connector = procrastinate.PsycopgConnector(
        conninfo=libpq_url(runtime.settings.database_url), min_size=1, max_size=_CONNECTIONS
    )
    app = procrastinate.App(connector=connector)

    @app.task(name="deliver", queue=WEBHOOK_QUEUE)
    def deliver_one(webhook: str, tenant: str) -> None:
        deliver(runtime, Due(webhook=webhook, tenant=TenantName(tenant)), send)

    @app.periodic(cron=f"* * * * * */{LOOK_SECONDS}")
    @app.task(name="look-for-webhooks", queue=WEBHOOK_QUEUE, queueing_lock="look-for-webhooks", priority=10)
    async def look(timestamp: int) -> None:
        with runtime.sessions.begin() as session:
            session.execute(_SWEEP, {"queues": list(_SLOTS)})  # what a dead worker was doing holds its lock for ever
            waiting = due(session, runtime.clock())
        for work in waiting:
            with suppress(AlreadyEnqueued):
                await deliver_one.configure(lock=work.webhook, queueing_lock=work.webhook).defer_async(
                    webhook=work.webhook, tenant=str(work.tenant)
                )

    @app.periodic(cron=f"*/{UPKEEP_MINUTES} * * * *")
    @app.task(name="upkeep", queue=UPKEEP_QUEUE, queueing_lock="upkeep")
    def look_at_the_clock(timestamp: int) -> None:
        upkeep()

    return app


def run_worker(app: procrastinate.App) -> None:
    """Work until SIGTERM or SIGINT; what was being sent then is sent again by the next worker."""
    asyncio.run(run_slots(app))


async def run_slots(app: procrastinate.App) -> None:
    """Work until SIGTERM or SIGINT come, or the slots of one queue cannot go on: then the others end as well."""
    async with app.open_async(), asyncio.TaskGroup() as group:
        workers = [group.create_task(_work_on(app, queue)) for queue in _SLOTS]
        await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            worker.cancel()


async def _work_on(app: procrastinate.App, queue: str) -> None:
    await app.run_worker_async(
        queues=[queue],
        name=queue,
        concurrency=_SLOTS[queue],
        delete_jobs="always",
        update_heartbeat_interval=_HEARTBEAT_SECONDS,
        stalled_worker_timeout=_STALLED_SECONDS,
        fetch_job_polling_interval=LOOK_SECONDS,
        shutdown_graceful_timeout=_STALLED_SECONDS,
        install_signal_handlers=queue == WEBHOOK_QUEUE,  # a loop has one handler for a signal
    )
