"""Asking for a review, saying who is to do it until when, and commenting.

Rules:
1. A version's assignments and comments are made one at a time: its concept is held first (`concepts.lock`).
2. Only who may review is assigned: who holds a key for approvals, and neither owns, trained nor asked for the version.
3. Only what waits for reviewers is assigned. Everything can be commented on, also after it was decided.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.concepts import service as concepts
from registry.log import service as log
from registry.reviews.tables import AssignmentRow, CommentRow
from registry.runtime import Runtime
from registry.versions import requests
from registry.versions import service as versions
from registry.versions.lifecycle import WAITING
from registry.versions.version import Version
from sdk.errors import Conflict, InputError, NotFound
from sdk.signing.trust import TrustRole
from sdk.spec.canonical import encode_canonical
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.moments import in_utc
from sdk.spec.policy import Role
from sdk.spec.review import Assignment, Comment, LoggedComment, NewComment, ReviewRequest

ASSIGNERS: Final = (Role.REVIEWER, Role.ADMIN)
COMMENTERS: Final = (Role.REVIEWER, Role.OWNER, Role.TRAINER)
_NONCE_BYTES: Final = 16


def ask(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, request: ReviewRequest
) -> Version:
    """Put a draft up for review, with a first assignment if reviewers or a date are named.

    Raises:
        NotFound, PermissionDenied, Conflict, InputError: see `registry.versions.requests` and `assign`.
    """
    version = _lock(session, caller, concept, number)
    version = requests.request_review(session, runtime, caller, version)
    if request.reviewers or request.due_at:
        _assign(session, runtime, caller, version, 1, request.reviewers, request.due_at)
    return version


def assign(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, wanted: Assignment
) -> Version:
    """Say who is to review a version until when.

    Raises:
        PermissionDenied, NotFound: the caller does not assign; there is no such version.
        Conflict: it does not wait for reviewers, or somebody assigned it since.
        InputError: somebody who may not review it is named, or a date that has passed.
    """
    caller.require(*ASSIGNERS)
    version = _lock(session, caller, concept, number)
    held = assignment_of(session, version)
    place = held.place if held else 0
    if wanted.expected is not None and wanted.expected != place:
        by = f", by {held.assigned_by}" if held else ""
        raise Conflict(
            f"{version.name} was assigned {place} times{by}, not {wanted.expected} as expected; "
            "nothing was changed, look again"
        )
    _assign(session, runtime, caller, version, place + 1, wanted.reviewers, wanted.due_at)
    return version


def comment(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, new: NewComment
) -> LoggedComment:
    """Say something about a version. Raises `PermissionDenied`, or `NotFound` for the version or what is replied to."""
    caller.require(*COMMENTERS)
    version = _lock(session, caller, concept, number)
    same = (CommentRow.concept_id == concept, CommentRow.number == number)
    earlier = session.scalar(select(func.max(CommentRow.comment)).where(*same)) or 0
    if new.reply_to and new.reply_to > earlier:
        raise NotFound(f"{version.name} has {earlier} comments; there is no comment {new.reply_to} to reply to")
    said = Comment(
        concept=concept,
        number=number,
        comment=earlier + 1,
        author=caller.principal,
        written_at=runtime.clock(),
        text=new.text,
        reply_to=new.reply_to,
        nonce=secrets.token_bytes(_NONCE_BYTES),
    )
    index = log.append(
        session,
        runtime,
        event=AuditEventType.REVIEW_COMMENTED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest, "comment": said.digest},
    )
    _keep(session, said, index)
    return LoggedComment(comment=said, log_index=index)


def may_review(runtime: Runtime, version: Version) -> tuple[PrincipalId, ...]:
    """Who could approve `version`: holders of approval keys in its tenant, but for those it is the work of."""
    barred = {version.owner, version.trainer_of_record, version.review_requested_by}
    holders = runtime.trust_root.holders_of(TrustRole.APPROVAL)
    return tuple(sorted(holder for holder in holders - barred if holder.tenant == version.tenant))


def assignment_of(session: Session, version: Version) -> AssignmentRow | None:
    """The assignment that holds, if there is one."""
    statement = select(AssignmentRow).where(
        AssignmentRow.concept_id == version.concept, AssignmentRow.number == version.number
    )
    return session.scalar(statement.order_by(AssignmentRow.place.desc()).limit(1))


def _lock(session: Session, caller: Caller, concept: ConceptId, number: int) -> Version:
    concepts.lock(session, caller.tenant, concept)
    return versions.load(session, caller.tenant, concept, number)


def _assign(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    version: Version,
    place: int,
    reviewers: Sequence[PrincipalId],
    due_at: datetime | None,
) -> None:
    _require_assignable(runtime, version, reviewers, due_at)
    named = sorted(set(reviewers))
    facts = {"reviewers": " ".join(named)}
    if due_at:
        facts["due_at"] = in_utc(due_at).isoformat(timespec="seconds")
    index = log.append(
        session,
        runtime,
        event=AuditEventType.REVIEW_ASSIGNED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest},
        facts=facts,
    )
    session.add(
        AssignmentRow(
            concept_id=version.concept,
            number=version.number,
            place=place,
            reviewers=[str(name) for name in named],
            due_at=due_at,
            assigned_by=caller.principal,
            assigned_at=runtime.clock(),
            log_index=index,
        )
    )
    session.flush()


def _require_assignable(
    runtime: Runtime, version: Version, reviewers: Sequence[PrincipalId], due_at: datetime | None
) -> None:
    if version.stored_status not in WAITING:
        raise Conflict(f"{version.name} is {version.stored_status.value}; only what waits for review is assigned")
    able = may_review(runtime, version)
    if unable := sorted(set(reviewers) - set(able)):
        raise InputError(
            f"{unable[0]} cannot review {version.name}: it takes a key for approvals, and nobody reviews what they own, "
            f"had trained or put up for review; who can: {', '.join(able) or 'nobody'}"
        )
    if due_at and due_at <= runtime.clock():
        raise InputError(f"{version.name} cannot be due at {due_at.isoformat()}, which has passed; name a later moment")


def _keep(session: Session, said: Comment, log_index: int) -> None:
    session.add(
        CommentRow(
            concept_id=said.concept,
            number=said.number,
            comment=said.comment,
            reply_to=said.reply_to,
            author=said.author,
            written_at=said.written_at,
            content=encode_canonical(said),
            digest=said.digest,
            log_index=log_index,
        )
    )
    session.flush()
