"""Jobs as they travel, and what is asked about them. Nothing here changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sdk.errors import InputError, NotFound
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.paging import PageQuery, encode_cursor, parse_cursor
from sdk.spec.training import JobList, JobProgress, JobStatus, JobView, TrainingRequest
from trainer.jobs.lifecycle import JobEvent
from trainer.jobs.tables import EventRow, JobRow, ProgressRow, VersionRow


def view(session: Session, job: RecordId, *, tenant: TenantName) -> JobView:
    """One job as its tenant sees it. Raises `NotFound`."""
    row = session.get(JobRow, str(job))
    if row is None or row.tenant != tenant:
        raise no_such_job(job)
    return _views(session, [row])[0]


def page(session: Session, query: PageQuery, *, tenant: TenantName) -> JobList:
    """A page of a tenant's jobs, newest first. Raises `InputError` for a cursor of another list."""
    statement = select(JobRow).where(JobRow.tenant == str(tenant))
    if begin := parse_cursor(query.cursor, str, str):
        at, job = _moment(str(begin[0])), str(begin[1])
        later = (JobRow.created_at == at) & (JobRow.id > job)
        statement = statement.where((JobRow.created_at < at) | later)
    rows = session.scalars(statement.order_by(JobRow.created_at.desc(), JobRow.id).limit(query.limit + 1)).all()
    shown = rows[: query.limit]
    more = encode_cursor(shown[-1].created_at.isoformat(), shown[-1].id) if len(rows) > query.limit else None
    return JobList(jobs=_views(session, shown), next_cursor=more)


def erased_by(session: Session, erasures: Sequence[RecordId]) -> dict[RecordId, list[RecordId]]:
    """The jobs that each of these erasures reached."""
    found: dict[RecordId, list[RecordId]] = {}
    statement = select(EventRow.detail, EventRow.job).where(EventRow.event == JobEvent.ERASE.value)
    for erasure, job in session.execute(statement.where(EventRow.detail.in_([str(each) for each in erasures]))):
        found.setdefault(RecordId(str(erasure)), []).append(RecordId(job))
    return found


def no_such_job(job: RecordId) -> NotFound:
    """What is raised for a job that is not there, or is another tenant's."""
    return NotFound(f"there is no job {job} that you may see; list the jobs")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InputError("cursor is none of this list; take next_cursor of the page before") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _views(session: Session, rows: Sequence[JobRow]) -> tuple[JobView, ...]:
    ids = [row.id for row in rows]
    progress = {row.job: row.progress for row in session.scalars(select(ProgressRow).where(ProgressRow.job.in_(ids)))}
    versions: dict[str, list[str]] = {job: [] for job in ids}
    query = select(VersionRow.job, VersionRow.version).where(VersionRow.job.in_(ids), VersionRow.version.is_not(None))
    for job, version in session.execute(query.order_by(VersionRow.position)):
        versions[job].append(str(version))
    of_erasing = select(EventRow.job, EventRow.detail).where(
        EventRow.job.in_(ids), EventRow.event == JobEvent.ERASE.value
    )
    erased = {job: RecordId(str(detail)) for job, detail in session.execute(of_erasing)}
    return tuple(_view(row, progress.get(row.id), tuple(versions[row.id]), erased.get(row.id)) for row in rows)


def _view(row: JobRow, progress: dict[str, Any] | None, versions: tuple[str, ...], erased: RecordId | None) -> JobView:
    status = JobStatus(row.status)
    return JobView(
        id=RecordId(row.id),
        status=status,
        requested_by=PrincipalId(row.requested_by),
        request=TrainingRequest.model_validate(row.request),
        progress=JobProgress.model_validate(progress) if progress and status is JobStatus.RUNNING else None,
        error=row.error,
        versions=versions,
        erased=erased,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
