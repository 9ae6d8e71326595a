"""HTTP bodies of review as work: what waits, for whom, until when, and what people say about it meanwhile.

A verdict is none of these: it is an envelope that a reviewer signs (`sdk.spec.statements`). Who is assigned is a plan;
whoever may review may still do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.api import Moment, PlainText
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptKind
from sdk.spec.paging import Page, PageQuery

Assignees = Annotated[tuple[PrincipalId, ...], Field(max_length=16)]


class ReviewRequest(WireModel):
    """A draft is put up for review; by whom and until when it should be reviewed, if that is known."""

    reviewers: Assignees = ()
    due_at: Moment | None = None


class Assignment(WireModel):
    """Who is to review a version, and until when; in place of what was planned before."""

    reviewers: Assignees
    due_at: Moment | None = None
    expected: Annotated[int, Field(ge=0, lt=2**31)] | None = None  # the assignment that holds now, 0 for none


class ReviewTask(WireModel):
    """A version that waits for reviewers."""

    concept: ConceptId
    number: int
    kind: ConceptKind
    risk_class: str
    status: VersionStatus
    owner: PrincipalId
    trainer_of_record: PrincipalId
    requested_by: PrincipalId
    requested_at: AwareDatetime
    approvals: int
    approvals_required: int
    may_review: tuple[PrincipalId, ...]  # who holds a key for approvals, and neither owns, trained nor asked
    reviewers: tuple[PrincipalId, ...]  # who is assigned
    due_at: AwareDatetime | None = None
    overdue: bool
    assignment: int  # how often it was assigned; 0: never
    comments: int

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return f"{self.concept}@{self.number}"


class ReviewQueue(Page):
    """What waits: by due date, so that what is overdue comes first; then what has no date; longest first."""

    tasks: tuple[ReviewTask, ...]


class ReviewQuery(PageQuery):
    """The filters of GET /v1/reviews, and which page of it."""

    reviewer: PrincipalId | None = None  # assigned to them
    overdue: bool = False  # these only


class NewComment(WireModel):
    text: PlainText = Field(min_length=1, max_length=4000)
    reply_to: Annotated[int, Field(ge=1, lt=2**31)] | None = None  # a comment of the same version


class Comment(WireModel):
    """What somebody said about a version. The log holds the digest of exactly this; the nonce keeps it from telling."""

    concept: ConceptId
    number: int
    comment: int  # 1 for the first about this version
    author: PrincipalId
    written_at: AwareDatetime
    text: str
    reply_to: int | None = None
    nonce: Base64Bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(encode_canonical(self))


class LoggedComment(WireModel):
    """A comment, and the log entry that holds its digest."""

    comment: Comment
    log_index: int


class CommentList(WireModel):
    """What was said about a version, oldest first; a long list comes in parts."""

    comments: tuple[LoggedComment, ...]
    next_after: int | None = None  # a comment after which there are more


class CommentQuery(WireModel):
    """The part of a list of comments that is asked for."""

    after: int = Field(default=0, ge=0, lt=2**31)
    limit: int = Field(default=200, ge=1, le=500)


def threaded(comments: Sequence[LoggedComment]) -> tuple[tuple[LoggedComment, int], ...]:
    """The same comments with their depth: replies come after what they reply to, else in the order given."""
    present = {logged.comment.comment for logged in comments}
    replies: dict[int | None, list[LoggedComment]] = {}
    for logged in comments:
        parent = logged.comment.reply_to
        replies.setdefault(parent if parent in present else None, []).append(logged)
    waiting = [(logged, 0) for logged in reversed(replies.get(None, []))]
    ordered = []
    while waiting:
        logged, depth = waiting.pop()
        ordered.append((logged, depth))
        waiting += [(reply, depth + 1) for reply in reversed(replies.get(logged.comment.comment, []))]
    return tuple(ordered)
