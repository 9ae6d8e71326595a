"""The queue of renders: Procrastinate 3.10, beside the training queue, so that neither waits for the other.

1. An entry is put into the queue on the caller's own connection: row and entry commit together or not at all.
2. A render row names the entry that counts. Entries that no live worker has are lost; the upkeep task, which every
   worker runs between renders, finds them (as `trainer.jobs.queue` does for trainings).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import procrastinate
from procrastinate import JobContext
from sqlalchemy import text
from sqlalchemy.orm import Session

from sdk.spec.ids import RecordId
from trainer.jobs.queue import enqueuing_app
from trainer.settings import TrainerSettings

RENDER_QUEUE: Final = "rendering"
UPKEEP_QUEUE: Final = "rendering-upkeep"
RENDER_TASK: Final = "render"
UPKEEP_TASK: Final = "rendering-upkeep"
UPKEEP_PRIORITY: Final = 10  # before any render

_LOST: Final = text(
    """
    SELECT render.generation
      FROM renders render
      LEFT JOIN procrastinate_jobs entry ON entry.id = render.queue_entry
      LEFT JOIN procrastinate_workers worker ON worker.id = entry.worker_id
     WHERE render.status IN ('queued', 'running')
       AND (entry.id IS NULL
            OR entry.status NOT IN ('todo', 'doing')
            OR (entry.status = 'doing'
                AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :stalled))))
     ORDER BY render.created_at, render.generation
       FOR UPDATE OF render SKIP LOCKED
    """
)

RunEntry = Callable[[RecordId, Callable[[], bool]], None]
"""Works on a render; the second argument says whether the worker wants to stop."""


def enqueue(session: Session, generation: RecordId) -> int:
    """Put an entry into the queue, in the session's transaction, and return its number."""
    connection = session.connection().connection.driver_connection
    deferrer = enqueuing_app().configure_task(RENDER_TASK, queue=RENDER_QUEUE, connection=connection)
    return deferrer.defer(generation=str(generation))


def lost_renders(session: Session, *, stalled_seconds: float) -> list[str]:
    """The generations of renders that nobody works on any more, locked for this transaction."""
    return [str(row.generation) for row in session.execute(_LOST, {"stalled": stalled_seconds})]


def make_worker_app(settings: TrainerSettings, *, run_entry: RunEntry, upkeep: Callable[[], None]) -> procrastinate.App:
    """The Procrastinate application of a rendering worker; `run_worker` below runs it."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=settings.libpq_url, min_size=1, max_size=4)
    )

    @app.task(name=RENDER_TASK, queue=RENDER_QUEUE, pass_context=True)
    def render(context: JobContext, generation: str) -> None:
        run_entry(RecordId(generation), context.should_abort)

    @app.periodic(cron=f"* * * * * */{settings.upkeep_seconds}")  # the sixth field of croniter is seconds
    @app.task(name=UPKEEP_TASK, queue=UPKEEP_QUEUE, queueing_lock=UPKEEP_TASK, priority=UPKEEP_PRIORITY)
    def look_for_lost_renders(timestamp: int) -> None:
        upkeep()

    return app


def run_worker(app: procrastinate.App, settings: TrainerSettings, *, name: str) -> None:
    """Work until SIGTERM or SIGINT; a render that is running then is taken over by another worker."""
    app.run_worker(
        queues=[RENDER_QUEUE, UPKEEP_QUEUE],
        name=name,
        concurrency=1,
        delete_jobs="always",
        update_heartbeat_interval=settings.heartbeat_seconds,
        stalled_worker_timeout=settings.stalled_seconds,
        fetch_job_polling_interval=settings.poll_seconds,
        abort_job_polling_interval=settings.poll_seconds,
        shutdown_graceful_timeout=0,
    )
