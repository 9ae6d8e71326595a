"""Renewal: other terms for a version that is approved already, without training it again. HTTP bodies, and what proves one.

    POST  /v1/concepts/{tenant}/{name}/versions/{number}/renewals            RenewalRequest -> RenewalView
    GET   /v1/concepts/{tenant}/{name}/versions/{number}/renewals            RenewalPage, oldest first
    GET   /v1/concepts/{tenant}/{name}/versions/{number}/renewal             VersionBundle under the terms that wait for reviewers
    POST  /v1/concepts/{tenant}/{name}/versions/{number}/renewal/reviews     Envelope -> RenewalView
    GET   /v1/renewals                                                       RenewalPage: those that wait, oldest first

A renewal is a round of reviews of its own. An approval in it is an `ApprovalPredicate` over the same manifest and the other
terms, a rejection a `RejectionPredicate` that names them. Until as many as required have approved, the terms that held go on
to hold; then the new ones do, from the day on which all of them run. What proves it is in the log:

| entry | evidence | facts |
|---|---|---|
| `renewal:requested` | `manifest`, `terms` | `round`, `consents`, `licences`, `approvals_required`; the actor asked for it |
| `renewal:signed`, `renewal:rejected` | `envelope`, `manifest`, `terms` | |
| `version:renewed` | `manifest`, `terms` | `round`, `consents`, `licences`, `since` |
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_entry import LogEntry
from sdk.spec.paging import Page

Records = Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=64)]


class RenewalStatus(StrEnum):
    """Where a renewal stands."""

    WAITING = "waiting"  # for reviewers
    APPROVED = "approved"  # its terms hold from `since` on, until another renewal's do
    REJECTED = "rejected"
    REPLACED = "replaced"  # another was asked for before this one was decided
    LAPSED = "lapsed"  # the version ended first


class RenewalRequest(WireModel):
    """Under which records a version is to stand: all of them, those that stay as well as those that are new."""

    consents: Records
    licences: Records


class RenewalView(WireModel):
    """A renewal as it stands."""

    concept: ConceptId
    number: int
    round: int  # 1 for the first of this version
    status: RenewalStatus
    consents: tuple[RecordId, ...]
    licences: tuple[RecordId, ...]
    terms: Digest  # what its approvals sign
    requested_by: PrincipalId
    requested_at: AwareDatetime
    approvals: int
    approvals_required: int
    may_review: tuple[PrincipalId, ...]  # who holds a key for approvals, and neither owns, trained nor asked
    since: AwareDatetime | None = None  # from when on its terms hold; none until it is approved
    log_index: int  # of the request

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return f"{self.concept}@{self.number}"


class RenewalPage(Page):
    """Renewals, in the order in which they were asked for."""

    renewals: tuple[RenewalView, ...]


def facts_of(round_: int, consents: Sequence[RecordId], licences: Sequence[RecordId]) -> dict[str, str]:
    """How the log's entries about a renewal name it and its records."""
    return {"round": str(round_), "consents": " ".join(consents), "licences": " ".join(licences)}


def records_named(entry: LogEntry) -> tuple[tuple[RecordId, ...], tuple[RecordId, ...]]:
    """The consents and the licences that a renewal's entry names. Raises `FormatError`."""
    consents, licences = (entry.facts.get(kind, "").split() for kind in ("consents", "licences"))
    return tuple(map(RecordId, consents)), tuple(map(RecordId, licences))
