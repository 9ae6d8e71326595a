"""What is owed under a licence, as data. The computation over recorded generations is elsewhere.

For each period, by the licence's own currency:

    earned = images generated × per_image  +  fees stated × percent_of_fee / 100
    owed   = the larger of earned and minimum_guarantee

A licence may name the rate, the share, the guarantee, or several of them; what it does not name counts as nothing. The
fee is what the application states for a generation, in the same currency; who may state it, and how, is not said here.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import model_validator

from sdk.spec.canonical import WireModel
from sdk.spec.money import Amount, Currency, Percentage
from sdk.spec.texts import Pseudonym


class RoyaltyPeriod(StrEnum):
    """What accounts are made for; in UTC."""

    MONTH = "month"  # of the calendar
    QUARTER = "quarter"  # from January, April, July, October
    YEAR = "year"  # of the calendar
    TERM = "term"  # once, for the whole term of the licence


class RoyaltyTerms(WireModel):
    """How the rights holder of a licence is paid."""

    payee: Pseudonym | None = None  # none: the rights holder
    currency: Currency
    per_image: Amount | None = None
    percent_of_fee: Percentage | None = None
    minimum_guarantee: Amount | None = None  # a period
    period: RoyaltyPeriod

    @model_validator(mode="after")
    def _names_something_to_pay(self) -> RoyaltyTerms:
        if self.per_image is None and self.percent_of_fee is None and self.minimum_guarantee is None:
            raise ValueError("name at least one of per_image, percent_of_fee, minimum_guarantee, or no royalty at all")
        return self
