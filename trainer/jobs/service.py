"""Every change of a job's rows. Called inside the caller's transaction; nothing here commits.

Rules:
1. A status changes only by `lifecycle.advance`, in an UPDATE guarded by the status it was read with.
2. What a worker writes is guarded by its attempt number, the fencing token: a worker whose job was given to another
   changes nothing and meets `AttemptLost`.
3. Whoever takes a job from a worker or hands it back gives it a new queue entry in the same transaction.
4. A job settles on one manifest for each concept, once; a later attempt submits the same bytes.
5. An event is never changed, so it holds nothing that people wrote: why a job failed is in its row alone, and erased there.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.policy import Decision
from sdk.spec.training import JobProgress, JobStatus, TrainingRequest
from trainer.jobs import queue
from trainer.jobs.lifecycle import JobEvent, advance
from trainer.jobs.ports import Entropy
from trainer.jobs.query import no_such_job
from trainer.jobs.tables import EventRow, JobRow, ProgressRow, VersionRow

ERASED: Final = "what it said is erased, with the person whom the job was about"  # in place of a failed job's error


class AttemptLost(Exception):
    """The job was given to another attempt, or ended; whoever meets this writes nothing more about it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One claim on a job; `number` is the fencing token."""

    job: RecordId
    number: int
    tenant: TenantName
    requested_by: PrincipalId
    request: TrainingRequest
    started_at: datetime  # of the first attempt


@dataclass(frozen=True, kw_only=True)
class SettledManifest:
    """The manifest a job has settled on for a concept, and the version it became."""

    concept: ConceptId
    manifest: bytes
    version: str | None = None


def new_job_id(entropy: Entropy) -> RecordId:
    """A job id of 128 unpredictable bits."""
    return RecordId("job_" + base64.b32encode(entropy(16)).decode("ascii").rstrip("=").lower())


def create(
    session: Session,
    *,
    job: RecordId,
    request: TrainingRequest,
    requested_by: PrincipalId,
    decision: Decision,
    at: datetime,
) -> None:
    """Insert an admitted job and put it into the queue."""
    row = JobRow(
        id=str(job),
        tenant=str(requested_by.tenant),
        requested_by=str(requested_by),
        status=JobStatus.QUEUED.value,
        request=request.model_dump(mode="json"),
        decision=decision.model_dump(mode="json"),
        attempt=0,
        cancel_requested=False,
        created_at=at,
    )
    session.add(row)
    session.flush()
    row.queue_entry = queue.enqueue(session, job)
    _note(session, row, JobEvent.ADMIT, at)


def claim(session: Session, job: RecordId, entry: int, *, at: datetime) -> Attempt | None:
    """Start an attempt for the queue entry `entry`; nothing when another entry counts or the job is not queued."""
    row = _locked(session, job)
    if row is None or row.queue_entry != entry or row.status != JobStatus.QUEUED:
        return None
    started_at = row.started_at or at
    number = row.attempt + 1
    _move(session, row, JobEvent.CLAIM, at, attempt=number, started_at=started_at)
    return Attempt(
        job=job,
        number=number,
        tenant=TenantName(row.tenant),
        requested_by=PrincipalId(row.requested_by),
        request=TrainingRequest.model_validate(row.request),
        started_at=started_at,
    )


def note_progress(session: Session, attempt: Attempt, progress: JobProgress, *, at: datetime) -> bool:
    """Keep the newest progress and return whether somebody asked for cancellation. Raises `AttemptLost`."""
    held = select(JobRow.cancel_requested).where(*_held_by(attempt)).with_for_update(read=True)
    cancel_requested = session.scalar(held)
    if cancel_requested is None:
        raise AttemptLost(f"{attempt.job}, attempt {attempt.number}")
    values = {"attempt": attempt.number, "heard_at": at, "progress": progress.model_dump(mode="json")}
    statement = insert(ProgressRow).values(job=str(attempt.job), **values)
    session.execute(statement.on_conflict_do_update(index_elements=[ProgressRow.job], set_=values))
    return cancel_requested


def settle(session: Session, attempt: Attempt, manifests: Mapping[ConceptId, bytes]) -> None:
    """Settle on these manifests, unless the job has settled before. Raises `AttemptLost`."""
    _require_held(session, attempt)
    for position, (concept, manifest) in enumerate(manifests.items()):
        values = {"job": str(attempt.job), "concept": str(concept), "position": position, "manifest": manifest}
        session.execute(insert(VersionRow).values(**values).on_conflict_do_nothing())


def settled(session: Session, job: RecordId) -> tuple[SettledManifest, ...]:
    """What the job has settled on, in the order of the request; empty before."""
    rows = session.scalars(select(VersionRow).where(VersionRow.job == str(job)).order_by(VersionRow.position))
    return tuple(
        SettledManifest(concept=ConceptId(row.concept), manifest=row.manifest, version=row.version) for row in rows
    )


def note_version(session: Session, attempt: Attempt, concept: ConceptId, version: str) -> None:
    """Keep which version a settled manifest became. Raises `AttemptLost`."""
    _require_held(session, attempt)
    where = (VersionRow.job == str(attempt.job), VersionRow.concept == str(concept))
    session.execute(update(VersionRow).where(*where).values(version=version))


def succeed(session: Session, attempt: Attempt, *, at: datetime) -> None:
    """The job is trained and submitted. Raises `AttemptLost`."""
    _move(session, _require_held(session, attempt), JobEvent.SUCCEED, at, finished_at=at)


def fail(session: Session, attempt: Attempt, error: str, *, at: datetime) -> None:
    """The job ends with an error people can act on. Raises `AttemptLost`."""
    _move(session, _require_held(session, attempt), JobEvent.FAIL, at, error=error, finished_at=at)


def stop_cancelled(session: Session, attempt: Attempt, *, at: datetime) -> None:
    """The attempt stopped because somebody asked for it. Raises `AttemptLost`."""
    _move(session, _require_held(session, attempt), JobEvent.CANCEL, at, finished_at=at)


def release(
    session: Session, attempt: Attempt, reason: str, *, at: datetime, delay: float = 0.0, max_attempts: int
) -> None:
    """Hand the job back to the queue for another attempt, or end it when it had enough. Raises `AttemptLost`."""
    row = _require_held(session, attempt)
    not_before = at + timedelta(seconds=delay) if delay else None
    _give_back(session, row, JobEvent.RELEASE, reason, at=at, not_before=not_before, max_attempts=max_attempts)


def request_cancel(session: Session, job: RecordId, *, tenant: TenantName, at: datetime) -> None:
    """End a queued job, or ask the worker of a running one to stop. Asking twice is asking once.

    Raises:
        NotFound: no such job in `tenant`.
        Conflict: it has ended otherwise.
    """
    row = _locked(session, job)
    if row is None or row.tenant != tenant:
        raise no_such_job(job)
    if row.status == JobStatus.CANCELLED:
        return
    advance(JobStatus(row.status), JobEvent.CANCEL)
    row.cancel_requested = True
    session.flush()
    if row.status == JobStatus.QUEUED:
        queue.retire(session, row.queue_entry)
        _move(session, row, JobEvent.CANCEL, at, finished_at=at)


def recover_lost(session: Session, *, at: datetime, stalled_seconds: float, max_attempts: int) -> tuple[RecordId, ...]:
    """Put every job that nobody works on back into the queue, and return their ids."""
    queue.sweep(session)
    lost = queue.lost_jobs(session, stalled_seconds=stalled_seconds)
    for job in lost:
        row = _locked(session, job)
        assert row is not None  # it was read and locked in this transaction
        if row.status == JobStatus.QUEUED:
            queue.retire(session, row.queue_entry)
            row.queue_entry = queue.enqueue(session, job)
        elif row.cancel_requested:
            queue.retire(session, row.queue_entry)
            _move(session, row, JobEvent.CANCEL, at, finished_at=at)
        else:
            reason = "its worker stopped answering"
            _give_back(session, row, JobEvent.LOSE, reason, at=at, not_before=None, max_attempts=max_attempts)
    session.flush()
    return tuple(lost)


def note_erased(session: Session, job: RecordId, request: TrainingRequest, *, erasure: RecordId, at: datetime) -> None:
    """What the job held of a person is gone, by `erasure`; of its request only `request` is left."""
    row = _locked(session, job)
    if row is None:
        raise no_such_job(job)
    row.request = request.model_dump(mode="json")
    row.error = ERASED if row.error is not None else None
    _note(session, row, JobEvent.ERASE, at, str(erasure))


def _give_back(
    session: Session,
    row: JobRow,
    event: JobEvent,
    reason: str,
    *,
    at: datetime,
    not_before: datetime | None,
    max_attempts: int,
) -> None:
    queue.retire(session, row.queue_entry)
    if row.attempt >= max_attempts:
        error = f"given up after {row.attempt} attempts, the last because {reason}; read the worker's log and mend it"
        _move(session, row, JobEvent.FAIL, at, error=error, finished_at=at)
        return
    entry = queue.enqueue(session, RecordId(row.id), not_before=not_before)
    _move(session, row, event, at, detail=reason, queue_entry=entry)


def _move(
    session: Session, row: JobRow, event: JobEvent, at: datetime, *, detail: str | None = None, **changes: Any
) -> None:
    """Advance the row by `event`: the guarded UPDATE, and the event beside it."""
    status = advance(JobStatus(row.status), event)
    where = (JobRow.id == row.id, JobRow.status == row.status, JobRow.attempt == row.attempt)
    done = session.execute(
        update(JobRow).where(*where).values(status=status.value, **changes).returning(JobRow.id)
    ).scalar_one_or_none()
    if done is None:
        raise AttemptLost(row.id)
    session.refresh(row)
    _note(session, row, event, at, detail)


def _note(session: Session, row: JobRow, event: JobEvent, at: datetime, detail: str | None = None) -> None:
    session.add(EventRow(job=row.id, event=event.value, attempt=row.attempt, at=at, detail=detail))
    session.flush()


def _held_by(attempt: Attempt) -> tuple[Any, ...]:
    return (
        JobRow.id == str(attempt.job),
        JobRow.attempt == attempt.number,
        JobRow.status == JobStatus.RUNNING.value,
    )


def _require_held(session: Session, attempt: Attempt) -> JobRow:
    row = session.scalar(select(JobRow).where(*_held_by(attempt)).with_for_update())
    if row is None:
        raise AttemptLost(f"{attempt.job}, attempt {attempt.number}")
    return row


def _locked(session: Session, job: RecordId) -> JobRow | None:
    return session.scalar(select(JobRow).where(JobRow.id == str(job)).with_for_update())
