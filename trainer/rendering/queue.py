"""The queue of renders: Procrastinate 3.10, beside the training queue, so that neither waits for the other.

1. An entry is put into the queue on the caller's own connection: row and entry commit together or not at all.
2. A render row names the entry that counts. Entries that no live worker has are lost; the upkeep task, which every
   worker runs between renders, finds them (as `trainer.jobs.queue` does for trainings).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from sdk.spec.ids import RecordId
from trainer.jobs.queue import WorkQueue, put

RENDERS: Final = WorkQueue(name="rendering", task="render", upkeep="rendering-upkeep", removed="always")

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


def enqueue(session: Session, generation: RecordId) -> int:
    """Put an entry into the queue, in the session's transaction, and return its number."""
    return put(session, RENDERS, generation=generation)


def lost_renders(session: Session, *, stalled_seconds: float) -> list[str]:
    """The generations of renders that nobody works on any more, locked for this transaction."""
    return [str(row.generation) for row in session.execute(_LOST, {"stalled": stalled_seconds})]
