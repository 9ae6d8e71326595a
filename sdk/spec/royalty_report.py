"""The account that royalty terms make of use: by licence, period, and the versions that were used together.

The registry's report is a claim: whoever has the ledger computes the same account from its receipts (`sdk.royalties`).
Amounts are exact decimal text in the licence's currency; what is due is in whole minor units of it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.api import Moment
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.money import Amount
from sdk.spec.royalty import RoyaltyTerms

Sum = Annotated[str, Field(pattern=r"^[0-9]+(?:\.[0-9]+)?$")]
"""A computed amount, exactly: more digits than an `Amount` that somebody wrote."""


class RoyaltyQuery(WireModel):
    """Which account is asked for; without a licence, that of every licence with royalty terms."""

    licence: RecordId | None = None
    since: Moment | None = None
    until: Moment | None = None  # not included; none: now

    @model_validator(mode="after")
    def _is_an_interval(self) -> RoyaltyQuery:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must lie before until")
        return self


class RoyaltyLine(WireModel):
    """The use of versions of one licence, together in the same pictures, in one period."""

    versions: tuple[str, ...]  # tenant/name@number
    uses: int  # generations
    images: int
    fees: Sum  # that were stated for them
    unstated: int = 0  # uses for which no fee was stated in the licence's currency, though a share of it is owed
    earned: Sum


class PeriodAccount(WireModel):
    """What one period comes to."""

    starts: AwareDatetime
    ends: AwareDatetime  # not included
    whole: bool  # the account covers all of it; otherwise its minimum guarantee is not in it
    lines: tuple[RoyaltyLine, ...]
    uses: int
    images: int
    earned: Sum
    minimum: Amount | None = None  # the guarantee that is in force for it
    due: Sum  # the greater of both, rounded once


class LicenceAccount(WireModel):
    """What the use under one licence comes to, period by period."""

    licence: RecordId
    digest: Digest
    rights_holder: str
    terms: RoyaltyTerms
    periods: tuple[PeriodAccount, ...]
    uses: int
    images: int
    due: Sum  # of the periods together


class RoyaltyReport(WireModel):
    """The accounts of a tenant's licences, by id; `open` generations were permitted and have no result yet."""

    tenant: TenantName
    since: AwareDatetime | None = None
    until: AwareDatetime
    accounts: tuple[LicenceAccount, ...]
    open_uses: int
    open_images: int  # granted
