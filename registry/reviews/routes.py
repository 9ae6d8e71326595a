"""The review queue, requests for review, assignments and comments over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from registry.auth import CallerDep
from registry.reviews import query, service
from registry.runtime import RuntimeDep
from registry.versions import service as versions
from registry.versions.path import VERSION, VersionPathDep
from sdk.spec.review import (
    Assignment,
    CommentList,
    CommentQuery,
    LoggedComment,
    NewComment,
    ReviewQuery,
    ReviewQueue,
    ReviewRequest,
    ReviewTask,
)

router = APIRouter(prefix="/v1", tags=["reviews"])


@router.get("/reviews")
def list_reviews(asked: Annotated[ReviewQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> ReviewQueue:
    """What waits for reviewers: by due date, so that what is overdue comes first, then longest."""
    with runtime.transaction(caller.tenant) as session:
        return query.queue(session, runtime, caller, asked)


@router.post(f"{VERSION}/review-request", status_code=201)
def request_review(named: VersionPathDep, request: ReviewRequest, runtime: RuntimeDep, caller: CallerDep) -> ReviewTask:
    """Put a draft up for review."""
    with runtime.transaction(caller.tenant) as session:
        version = service.ask(session, runtime, caller, named.concept, named.number, request)
        return query.task_of(session, runtime, version)


@router.post(f"{VERSION}/assignment", status_code=201)
def assign_review(named: VersionPathDep, assignment: Assignment, runtime: RuntimeDep, caller: CallerDep) -> ReviewTask:
    """Say who is to review a version, and until when."""
    with runtime.transaction(caller.tenant) as session:
        version = service.assign(session, runtime, caller, named.concept, named.number, assignment)
        return query.task_of(session, runtime, version)


@router.post(f"{VERSION}/comments", status_code=201)
def post_comment(named: VersionPathDep, comment: NewComment, runtime: RuntimeDep, caller: CallerDep) -> LoggedComment:
    """Comment on a version, or reply to a comment."""
    with runtime.transaction(caller.tenant) as session:
        return service.comment(session, runtime, caller, named.concept, named.number, comment)


@router.get(f"{VERSION}/comments")
def list_comments(
    named: VersionPathDep,
    part: Annotated[CommentQuery, Query()],
    runtime: RuntimeDep,
    caller: CallerDep,
) -> CommentList:
    """What was said about a version, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        found = tuple(query.comments_of(session, caller, version, part))
    more = found[-1].comment.comment if len(found) == part.limit else None
    return CommentList(comments=found, next_after=more)
