"""The queue of reviewers, and what was said about a version. Read in a transaction that appends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Subquery, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.blobs import READERS
from registry.reviews import service
from registry.reviews.tables import AssignmentRow, CommentRow
from registry.runtime import Runtime
from registry.versions import reading, requests
from registry.versions import service as versions
from registry.versions.lifecycle import WAITING
from registry.versions.version import Version
from sdk.spec.canonical import parse_wire
from sdk.spec.ids import PrincipalId
from sdk.spec.paging import encode_cursor, parse_cursor
from sdk.spec.policy import Role
from sdk.spec.review import Comment, CommentQuery, LoggedComment, ReviewQuery, ReviewQueue, ReviewTask

QUEUE_READERS: Final = (Role.REVIEWER, Role.OWNER, Role.TRAINER, Role.AUDITOR, Role.ADMIN)
_MICROSECONDS: Final = 1_000_000
_NO_DATE: Final = 2**61  # sorts after every date that there is


def queue(session: Session, runtime: Runtime, caller: Caller, query: ReviewQuery) -> ReviewQueue:
    """A page of what waits for reviewers in the caller's tenant. Raises `PermissionDenied`, or `InputError` for the cursor."""
    caller.require(*QUEUE_READERS)
    waits, held = reading.waiting(caller.tenant), _newest_assignments()
    due = func.coalesce(cast(func.extract("epoch", held.c.due_at) * _MICROSECONDS, BigInteger), _NO_DATE)
    same = (held.c.concept_id == waits.c.concept_id) & (held.c.number == waits.c.number)
    statement = select(waits.c.concept_id, waits.c.number, due, waits.c.requested).outerjoin(held, same)
    if query.reviewer:
        statement = statement.where(held.c.reviewers.contains([str(query.reviewer)]))
    if query.overdue:
        statement = statement.where(held.c.due_at < runtime.clock())
    if begin := parse_cursor(query.cursor, int, int):
        statement = statement.where(tuple_(due, waits.c.requested) > tuple_(*begin))
    rows = session.execute(statement.order_by(due, waits.c.requested).limit(query.limit + 1)).all()
    shown = [versions.load(session, caller.tenant, concept, number) for concept, number, _, _ in rows[: query.limit]]
    return ReviewQueue(
        tasks=tuple(task_of(session, runtime, version) for version in shown),
        next_cursor=encode_cursor(*rows[query.limit - 1][2:]) if len(rows) > query.limit else None,
    )


def _newest_assignments() -> Subquery:
    """The assignment of each version that holds."""
    order = (AssignmentRow.concept_id, AssignmentRow.number, AssignmentRow.place.desc())
    newest = select(AssignmentRow).ext(distinct_on(AssignmentRow.concept_id, AssignmentRow.number)).order_by(*order)
    return newest.subquery("held")


def task_of(session: Session, runtime: Runtime, version: Version) -> ReviewTask:
    """A version that waits, as work. Raises `Conflict` for a draft, whose review nobody asked for."""
    now = runtime.clock()
    held = service.assignment_of(session, version)
    due_at = held.due_at if held else None
    terms = versions.terms_of(session, version, now)
    minor = version.facts(terms).has_minor
    return ReviewTask(
        concept=version.concept,
        number=version.number,
        kind=version.manifest.kind,
        risk_class=runtime.risk_classes.of(version.manifest.kind, minor=minor).name,
        status=version.status(terms),
        owner=version.owner,
        trainer_of_record=version.trainer_of_record,
        requested_by=version.requester,
        requested_at=requests.requested_at(session, version),
        approvals=version.approvals,
        approvals_required=version.approvals_required,
        may_review=service.may_review(runtime, version),
        reviewers=tuple(map(PrincipalId, held.reviewers)) if held else (),
        due_at=due_at,
        overdue=bool(due_at and due_at < now and version.stored_status in WAITING),
        assignment=held.place if held else 0,
        comments=_count(session, version),
    )


def comments_of(
    session: Session, caller: Caller, version: Version, part: CommentQuery | None = None
) -> Sequence[LoggedComment]:
    """What was said about `version`, oldest first: all of it, or `part` of it. Raises `PermissionDenied`."""
    caller.require(*READERS)
    same = (CommentRow.concept_id == version.concept, CommentRow.number == version.number)
    statement = select(CommentRow).where(*same).order_by(CommentRow.comment)
    if part:
        statement = statement.where(CommentRow.comment > part.after).limit(part.limit)
    rows = session.scalars(statement)
    return [LoggedComment(comment=parse_wire(Comment, row.content, "comment"), log_index=row.log_index) for row in rows]


def _count(session: Session, version: Version) -> int:
    same = (CommentRow.concept_id == version.concept, CommentRow.number == version.number)
    return session.scalar(select(func.count()).select_from(CommentRow).where(*same)) or 0
