"""The royalty arithmetic: from counted use and the terms of a licence (`sdk.spec.royalty`) to its account. Pure.

The registry counts in its database, whoever has a ledger counts receipts, and both compute here. The rules:
1. Every image recorded under a licence earns its rate, and the fee stated for a generation its percentage. A picture
   that rests on a licence by two of its concepts is one picture of it. Without a result nothing is earned.
2. Use counts in the period of its result, in UTC.
3. Sums are exact. What is due for a period is rounded once, to the currency's minor unit, half to even.
4. The minimum guarantee is due for every period that the licence's term touches, used or not, and never in part: a
   period that the account does not cover wholly has none yet.
5. A fee in another currency than the licence's is as good as none: it is counted as not stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext
from typing import Final

from sdk.errors import InputError
from sdk.spec.moments import in_utc
from sdk.spec.money import MINOR_DIGITS
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms
from sdk.spec.royalty_report import LicenceAccount, PeriodAccount, RoyaltyLine
from sdk.spec.terms import LicenceEvidence, UseTerms

EXACT: Final = Context(prec=60, traps=[Inexact])
"""Sums and products of amounts, exact or an error: no amount here comes near sixty digits."""
_ROUNDING: Final = Context(prec=60)
_MONTHS: Final[Mapping[RoyaltyPeriod, int]] = {
    RoyaltyPeriod.MONTH: 1,
    RoyaltyPeriod.QUARTER: 3,
    RoyaltyPeriod.YEAR: 12,
}


@dataclass(frozen=True, kw_only=True)
class CountedUse:
    """Generations of one moment, day or month in which the same versions of a licence were used."""

    at: datetime
    versions: tuple[str, ...]
    uses: int
    images: int
    fees: Decimal = Decimal(0)  # in the licence's currency
    unstated: int = 0  # uses without such a fee


@dataclass(frozen=True, kw_only=True)
class _Span:
    start: datetime
    end: datetime


def account_of(
    licence: LicenceEvidence, counted: Iterable[CountedUse], *, since: datetime | None, until: datetime
) -> LicenceAccount:
    """The account of a licence for what was recorded from `since` on and before `until`.

    Raises:
        InputError: the licence has no royalty terms.
    """
    terms = licence.grant.royalty
    if terms is None:
        raise InputError(f"licence {licence.id} has no royalty terms, so there is no account of it")
    used: dict[datetime, dict[tuple[str, ...], list[CountedUse]]] = {
        start: {} for start in _starts(terms.period, licence.grant.terms, since, until)
    }
    for use in counted:
        start = span_of(terms.period, licence.grant.terms, use.at).start
        used.setdefault(start, {}).setdefault(use.versions, []).append(use)
    with localcontext(EXACT):
        periods = tuple(
            _period(licence, terms, span_of(terms.period, licence.grant.terms, start), lines, since, until)
            for start, lines in sorted(used.items())
        )
        due = sum((Decimal(period.due) for period in periods), round_amount(Decimal(0), terms.currency))
    return LicenceAccount(
        licence=licence.id,
        digest=licence.digest,
        rights_holder=licence.grant.rights_holder,
        terms=terms,
        periods=periods,
        uses=sum(period.uses for period in periods),
        images=sum(period.images for period in periods),
        due=f"{due:f}",
    )


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """`amount` in whole minor units of `currency`, half to even."""
    unit = Decimal(1).scaleb(-MINOR_DIGITS[currency])
    return amount.quantize(unit, rounding=ROUND_HALF_EVEN, context=_ROUNDING)


def span_of(period: RoyaltyPeriod, term: UseTerms, at: datetime) -> _Span:
    """The period that `at` lies in."""
    if period is RoyaltyPeriod.TERM:
        return _Span(start=in_utc(term.valid_from), end=in_utc(term.valid_until))
    moment, months = at.astimezone(UTC), _MONTHS[period]
    first = (moment.month - 1) // months * months  # from 0
    start = datetime(moment.year, first + 1, 1, tzinfo=UTC)
    return _Span(
        start=start, end=datetime(moment.year + (first + months) // 12, (first + months) % 12 + 1, 1, tzinfo=UTC)
    )


def _starts(period: RoyaltyPeriod, term: UseTerms, since: datetime | None, until: datetime) -> Iterator[datetime]:
    """The periods that the licence's term touches between `since` and `until`."""
    moment, last = max(term.valid_from, since or term.valid_from), min(term.valid_until, until)
    while moment < last:
        span = span_of(period, term, moment)
        yield span.start
        moment = span.end


def _period(
    licence: LicenceEvidence,
    terms: RoyaltyTerms,
    span: _Span,
    used: Mapping[tuple[str, ...], Sequence[CountedUse]],
    since: datetime | None,
    until: datetime,
) -> PeriodAccount:
    term = licence.grant.terms
    whole = (since is None or since <= span.start) and span.end <= until
    touched = term.valid_from < span.end and span.start < term.valid_until
    lines = tuple(_line(terms, versions, uses) for versions, uses in sorted(used.items()))
    earned = sum((Decimal(line.earned) for line in lines), Decimal(0))
    minimum = terms.minimum_guarantee if whole and touched else None
    due = max(earned, minimum.value) if minimum else earned
    return PeriodAccount(
        starts=span.start,
        ends=span.end,
        whole=whole,
        lines=lines,
        uses=sum(line.uses for line in lines),
        images=sum(line.images for line in lines),
        earned=f"{earned:f}",
        minimum=minimum,
        due=f"{round_amount(due, terms.currency):f}",
    )


def _line(terms: RoyaltyTerms, versions: tuple[str, ...], uses: Sequence[CountedUse]) -> RoyaltyLine:
    images, fees = sum(use.images for use in uses), sum((use.fees for use in uses), Decimal(0))
    earned = Decimal(0)
    if terms.per_image:
        earned += terms.per_image.value * images
    if terms.percent_of_fee:
        earned += (fees * terms.percent_of_fee.value).scaleb(-2)
    return RoyaltyLine(
        versions=versions,
        uses=sum(use.uses for use in uses),
        images=images,
        fees=f"{fees:f}",
        unstated=sum(use.unstated for use in uses) if terms.percent_of_fee else 0,
        earned=f"{earned:f}",
    )
