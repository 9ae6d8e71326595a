"""The queue: Procrastinate 3.10 on the trainer's PostgreSQL. https://procrastinate.readthedocs.io

Rules:
1. An entry is put into the queue on the caller's own connection, so that job row and entry commit together or not
   at all.
2. Each attempt has an entry of its own; the job row names the one that counts. An entry that does not count is done
   without doing anything, and a worker that was given up can only finish an entry that nobody waits for.
3. A job is lost when its entry is gone or ended, or when the worker that has it stopped answering. Lost jobs are found
   by the upkeep task, which every worker runs between jobs, and at once when it starts.

The schema of Procrastinate is frozen in migration 0008; the statements below name its tables for rule 3 and to retire
entries, which its API offers to one worker at a time only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import procrastinate
from procrastinate import JobContext
from sqlalchemy import text
from sqlalchemy.orm import Session

from sdk.spec.ids import RecordId
from trainer.settings import TrainerSettings

UPKEEP_QUEUE: Final = "upkeep"
UPKEEP_PRIORITY: Final = 10  # before any entry


@dataclass(frozen=True, kw_only=True)
class WorkQueue:
    """A queue, the task whose entries are in it, and the queue and task of its upkeep, which have one name."""

    name: str
    task: str
    upkeep: str
    removed: Literal["successful", "always"]  # which entries, once they are done


TRAININGS: Final = WorkQueue(name="training", task="train", upkeep=UPKEEP_QUEUE, removed="successful")

_LOST: Final = text(
    """
    SELECT job.id
      FROM training_jobs job
      LEFT JOIN procrastinate_jobs entry ON entry.id = job.queue_entry
      LEFT JOIN procrastinate_workers worker ON worker.id = entry.worker_id
     WHERE job.status IN ('queued', 'running')
       AND (entry.id IS NULL
            OR entry.status NOT IN ('todo', 'doing')
            OR (entry.status = 'todo' AND job.status = 'running')
            OR (entry.status = 'doing'
                AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :stalled))))
     ORDER BY job.created_at, job.id
       FOR UPDATE OF job SKIP LOCKED
    """
)
_RETIRE: Final = text(
    """
    UPDATE procrastinate_jobs
       SET status = CASE status WHEN 'todo' THEN 'cancelled' ELSE 'failed' END::procrastinate_job_status
     WHERE id = :entry AND status IN ('todo', 'doing')
    """
)
_SWEEP: Final = text(
    "DELETE FROM procrastinate_jobs WHERE queue_name = :queue AND status = 'doing' AND worker_id IS NULL"
)


def enqueue(session: Session, job: RecordId, *, not_before: datetime | None = None) -> int:
    """Put an entry for `job` into the queue, in the session's transaction, and return its number."""
    return put(session, TRAININGS, not_before=not_before, job=job)


def put(session: Session, queue: WorkQueue, *, not_before: datetime | None = None, **about: str) -> int:
    """Put an entry about one thing into a queue, in the session's transaction, and return its number."""
    connection = session.connection().connection.driver_connection
    task = enqueuing_app().configure_task(queue.task, queue=queue.name, schedule_at=not_before, connection=connection)
    return task.defer(**{name: str(subject) for name, subject in about.items()})


@functools.cache
def enqueuing_app() -> procrastinate.App:
    """An application without connections of its own; every entry goes through a caller's."""
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def retire(session: Session, entry: int | None) -> None:
    """End an entry that no longer counts, whoever has it."""
    session.execute(_RETIRE, {"entry": entry})


def lost_jobs(session: Session, *, stalled_seconds: float) -> list[RecordId]:
    """The jobs that nobody works on any more, locked for this transaction."""
    return [RecordId(row.id) for row in session.execute(_LOST, {"stalled": stalled_seconds})]


def sweep(session: Session) -> None:
    """Remove what dead workers left behind of the upkeep itself."""
    session.execute(_SWEEP, {"queue": UPKEEP_QUEUE})


def make_worker_app(
    settings: TrainerSettings,
    queue: WorkQueue,
    *,
    run_entry: Callable[[JobContext, str], None],
    upkeep: Callable[[], None],
) -> procrastinate.App:
    """The Procrastinate application of a worker process; `run_worker` below runs it. `run_entry` is told whose entry it is."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=settings.libpq_url, min_size=1, max_size=4)
    )

    @app.task(name=queue.task, queue=queue.name, pass_context=True)
    def work(context: JobContext, /, **about: str) -> None:
        (subject,) = about.values()
        run_entry(context, subject)

    @app.periodic(cron=f"* * * * * */{settings.upkeep_seconds}")  # the sixth field of croniter is seconds
    @app.task(name=queue.upkeep, queue=queue.upkeep, queueing_lock=queue.upkeep, priority=UPKEEP_PRIORITY)
    def look_for_lost_ones(timestamp: int) -> None:
        upkeep()

    return app


def run_worker(app: procrastinate.App, settings: TrainerSettings, queue: WorkQueue, *, name: str) -> None:
    """Work until SIGTERM or SIGINT; what is running then goes on with another worker."""
    app.run_worker(
        queues=[queue.name, queue.upkeep],
        name=name,
        concurrency=1,
        delete_jobs=queue.removed,
        update_heartbeat_interval=settings.heartbeat_seconds,
        stalled_worker_timeout=settings.stalled_seconds,
        fetch_job_polling_interval=settings.poll_seconds,
        abort_job_polling_interval=settings.poll_seconds,
        shutdown_graceful_timeout=0,
    )
