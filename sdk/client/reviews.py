"""Calls about review as work: the queue, putting a draft up, assigning, commenting; break-glass; renewals. Verdicts are in `versions`."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.break_glass import BreakGlassPage, BreakGlassView
from sdk.spec.bundle import VersionBundle
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId
from sdk.spec.renewal import RenewalPage, RenewalRequest, RenewalView
from sdk.spec.review import (
    Assignment,
    CommentList,
    LoggedComment,
    NewComment,
    ReviewQuery,
    ReviewQueue,
    ReviewRequest,
    ReviewTask,
)


class ReviewCalls:
    """The registry's review queue; mixed into `Client`."""

    _registry: Service

    def list_reviews(self, query: ReviewQuery | None = None) -> ReviewQueue:
        """GET /v1/reviews: what waits, by due date, then longest; every page."""
        asked = (query or ReviewQuery()).model_dump(mode="json", exclude_defaults=True)
        return self._registry.get_pages("/v1/reviews", ReviewQueue, {name: str(value) for name, value in asked.items()})

    def request_review(self, concept: ConceptId, number: int, request: ReviewRequest) -> ReviewTask:
        """POST .../review-request: put a draft up for review. Raises `Conflict` when it is none any more."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/review-request", request, ReviewTask)

    def assign_review(self, concept: ConceptId, number: int, assignment: Assignment) -> ReviewTask:
        """POST .../assignment: who is to review it, and until when. Raises `Conflict` when others were assigned since."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/assignment", assignment, ReviewTask)

    def break_glass(self, concept: ConceptId, number: int, envelope: Envelope) -> BreakGlassView:
        """POST .../break-glass: a statement that two people signed. The same again changes nothing."""
        path = f"/v1/concepts/{concept}/versions/{number}/break-glass"
        return self._registry.post(path, envelope, BreakGlassView)

    def list_break_glasses(self) -> BreakGlassPage:
        """GET /v1/break-glasses: every version that was opened before its approval, oldest first."""
        return self._registry.get_pages("/v1/break-glasses", BreakGlassPage)

    def request_renewal(self, concept: ConceptId, number: int, request: RenewalRequest) -> RenewalView:
        """POST .../renewals: put a version up for review under other records. Raises `Conflict` when it has ended."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/renewals", request, RenewalView)

    def list_renewals(self, concept: ConceptId, number: int) -> RenewalPage:
        """GET .../renewals: those of a version, oldest first."""
        return self._registry.get_pages(f"/v1/concepts/{concept}/versions/{number}/renewals", RenewalPage)

    def get_renewal(self, concept: ConceptId, number: int) -> VersionBundle:
        """GET .../renewal: a version under the terms that wait for reviewers. Raises `NotFound` when none do."""
        return self._registry.get(f"/v1/concepts/{concept}/versions/{number}/renewal", VersionBundle)

    def review_renewal(self, concept: ConceptId, number: int, envelope: Envelope) -> RenewalView:
        """POST .../renewal/reviews: a signed approval or rejection of those terms."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/renewal/reviews", envelope, RenewalView)

    def list_waiting_renewals(self) -> RenewalPage:
        """GET /v1/renewals: those that wait for reviewers, oldest first."""
        return self._registry.get_pages("/v1/renewals", RenewalPage)

    def comment(self, concept: ConceptId, number: int, comment: NewComment) -> LoggedComment:
        """POST .../comments."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/comments", comment, LoggedComment)

    def list_comments(self, concept: ConceptId, number: int, *, after: int = 0) -> CommentList:
        """GET .../comments: oldest first, a part at a time."""
        path = f"/v1/concepts/{concept}/versions/{number}/comments"
        return self._registry.get(path, CommentList, {"after": str(after)} if after else None)
