"""What is due, computed another way: in fractions, from a test's own list of uses, without receipts. For tests only.

Written from the words of docs/accounting.md; shares nothing with `sdk.royalties` but the terms that it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sdk.spec.royalty import RoyaltyTerms

QUARTERS = {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4, 7: 7, 8: 7, 9: 7, 10: 10, 11: 10, 12: 10}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A generation that a test made: when, how many images, under which licences, for what fee."""

    at: datetime
    images: int
    licences: frozenset[str]
    fee: tuple[str, str] | None = None  # currency, amount


def due_by_period(
    terms: RoyaltyTerms, licence: str, done: Iterable[Done], *, digits: int, whole: Iterable[tuple[int, int]] = ()
) -> dict[tuple[int, int], Fraction]:
    """By (year, first month): what is due. The guarantee counts in the periods named as `whole`."""
    earned: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for period in whole:
        earned[period] += 0
    for use in done:
        if licence in use.licences:
            earned[_period(terms.period.value, use.at)] += _earned(terms, use)
    least = Fraction(terms.minimum_guarantee or 0)
    guaranteed = set(whole)
    return {
        period: _rounded(max(sum_, least) if period in guaranteed else sum_, digits) for period, sum_ in earned.items()
    }


def _earned(terms: RoyaltyTerms, use: Done) -> Fraction:
    by_image = Fraction(terms.per_image or 0) * use.images
    if use.fee is None or use.fee[0] != terms.currency:
        return by_image
    return by_image + Fraction(use.fee[1]) * Fraction(terms.percent_of_fee or 0) / 100


def _period(kind: str, at: datetime) -> tuple[int, int]:
    return at.year, {"month": at.month, "quarter": QUARTERS[at.month], "year": 1}[kind]


def _rounded(amount: Fraction, digits: int) -> Fraction:
    return Fraction(round(amount * 10**digits), 10**digits)  # Python rounds fractions half to even
