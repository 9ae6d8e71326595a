"""A ledger of use: receipts of generations with all that royalties are computed from, in pages that prove themselves.

A page has, for each generation, the log entries that permitted and recorded it, the intent that was permitted, and the
application's signed statement about the images; then the manifests of the versions used and the licences they rest on.
One multiproof (`sdk.spec.merkle`) proves all its log entries to be under its checkpoint. A ledger file is the canonical
pages, one a line, in their order and under one checkpoint. Nothing in it is believed: `sdk.royalties` verifies it.

Of a version that stands under a renewal the permit names the licences (`licences_fact`); of others its manifest does.
A receipt has the time of its result; one without a result has the time of its permit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sdk.spec.api import AfterIndex, Moment
from sdk.spec.canonical import WireModel
from sdk.spec.envelope import Base64Bytes, Envelope
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import LicenceEvidence

MAX_PAGE_RECEIPTS = 500


class LedgerQuery(WireModel):
    """Which part of the tenant's use, and which page of it."""

    licence: RecordId | None = None  # only use of the concepts that it covers; none: all use
    since: Moment | None = None
    until: Moment | None = None  # not included
    size: Annotated[int, Field(ge=1, lt=2**62)] | None = None  # of the log; later pages name that of the first
    after: AfterIndex = -1  # the permit's index in the log after which the page begins
    limit: int = Field(default=200, ge=1, le=MAX_PAGE_RECEIPTS)

    @model_validator(mode="after")
    def _is_an_interval(self) -> LedgerQuery:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must lie before until")
        return self


class LedgerEntry(WireModel):
    """An entry of the log: its index and exact bytes."""

    index: int = Field(ge=0)
    content: Base64Bytes


class UseReceipt(WireModel):
    """One permitted generation, and its result once it has one."""

    permit: LedgerEntry  # generation:permitted
    intent: Base64Bytes  # the canonical intent, whose digest the permit names
    result: LedgerEntry | None = None  # generation:recorded
    statement: Envelope | None = None  # the application's, about its images; the result names its digest


class LedgerPage(WireModel):
    """Some receipts of a ledger, oldest permit first, with everything that they need to be verified."""

    schema_: Literal["imprimatur.ledger-page/v1"] = Field(default="imprimatur.ledger-page/v1", alias="schema")
    tenant: TenantName
    licence: RecordId | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: AfterIndex  # as asked for
    next_after: int | None = None  # none: this is the last page
    receipts: tuple[UseReceipt, ...] = Field(max_length=MAX_PAGE_RECEIPTS)
    manifests: tuple[Base64Bytes, ...] = ()  # of versions used: of the licence's concepts, or of all
    licences: tuple[LicenceEvidence, ...] = ()  # that those rest on, or earn without use
    proof: tuple[Base64Bytes, ...]  # of all log entries here at once
    checkpoint: str = Field(max_length=16_384)  # the signed note


def licences_fact(version: str) -> str:
    """Under which name a permit's entry names the licences of a renewed version; without it, those of its manifest hold."""
    return f"licences/{version}"
