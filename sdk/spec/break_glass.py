"""Break-glass: leave to use one version for a while before it is approved. Two people sign it; it is never quiet.

    POST  /v1/concepts/{tenant}/{name}/versions/{number}/break-glass  Envelope (of a BreakGlassPredicate) -> BreakGlassView
    GET   /v1/break-glasses?cursor=&limit=                            BreakGlassPage

Rules, held by the registry, its database, and every verifier:
1. One statement, signed by both who are named in it, with keys for approvals. Both are of the version's
   tenant, and one of them at least neither owns the version, nor had it trained, nor asked for its review.
2. It names the manifest (its subject), the terms that both saw, and a reason. It ends `MAX_HOURS` after it was first signed, or
   sooner; it cannot be renewed, for a version has one at most.
3. The version is not approved by it: it can be named by its number or its digest only, and every use says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.paging import Page
from sdk.spec.statements import PREFIX, Predicate

MAX_HOURS: Final = 72
MAX_LIFE: Final = timedelta(hours=MAX_HOURS)


class BreakGlassPredicate(Predicate):
    """Two people let this version be used until `expires_at`, under exactly these terms, although it is not approved."""

    predicate_type = f"{PREFIX}/break-glass/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    signers: Annotated[tuple[PrincipalId, ...], Field(min_length=2, max_length=2)]
    terms: Digest  # of the consent and licence records that both saw; see `terms_digest`
    reason: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")
    signed_at: AwareDatetime  # by the first of them
    expires_at: AwareDatetime

    @model_validator(mode="after")
    def _two_people_and_not_for_long(self) -> Self:
        if len(set(self.signers)) != len(self.signers):
            raise ValueError(f"{self.signers[0]} is named twice; a break-glass is signed by two people")
        if strangers := [name for name in self.signers if name.tenant != self.concept.tenant]:
            raise ValueError(f"{strangers[0]} is of another tenant than {self.concept}; both who sign are of its own")
        if not self.signed_at < self.expires_at <= self.signed_at + MAX_LIFE:
            raise ValueError(f"it should end after it is signed, and {MAX_HOURS} hours after at the latest")
        return self


class BreakGlassView(WireModel):
    """A break-glass as it was recorded."""

    concept: ConceptId
    number: int
    manifest: Digest
    signers: tuple[PrincipalId, ...]
    opened_by: PrincipalId  # who of them sent it
    reason: str
    terms: Digest
    opened_at: AwareDatetime
    expires_at: AwareDatetime
    in_force: bool  # at this moment: it has not expired, its terms hold, and the version still waits for reviewers
    envelope: Envelope
    log_index: int

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return f"{self.concept}@{self.number}"


class BreakGlassPage(Page):
    """All of a tenant, oldest first."""

    break_glasses: tuple[BreakGlassView, ...]
