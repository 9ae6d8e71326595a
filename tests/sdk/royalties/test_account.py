"""The royalty arithmetic, against worked examples and against an oracle in fractions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.governed import licence_evidence, licence_grant, use_terms
from support.royalty_oracle import Done, due_by_period

from sdk.errors import InputError
from sdk.royalties.account import CountedUse, account_of, round_amount
from sdk.spec.money import MINOR_DIGITS
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.royalty_report import LicenceAccount
from sdk.spec.terms import LicenceEvidence

FOX = ("demo/fox@1",)
START, END = datetime(2026, 1, 15, tzinfo=UTC), datetime(2027, 1, 15, tzinfo=UTC)
LATER = datetime(2028, 1, 1, tzinfo=UTC)


def licence(**members: Any) -> LicenceEvidence:
    terms = RoyaltyTerms(**{"currency": "EUR", "per_image": "0.05", "period": "month"} | members)
    return licence_evidence(licence_grant(terms=use_terms(valid_from=START, valid_until=END), royalty=terms))


def at(month: int, day: int = 20) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def used(month: int, images: int, versions: tuple[str, ...] = FOX, **members: Any) -> CountedUse:
    return CountedUse(**{"at": at(month), "versions": versions, "uses": 1, "images": images} | members)


def account(
    *uses: CountedUse, since: datetime | None = None, until: datetime = LATER, **members: Any
) -> LicenceAccount:
    return account_of(licence(**members), uses, since=since, until=until)


def dues(found: LicenceAccount) -> dict[str, str]:
    return {f"{period.starts:%Y-%m}": period.due for period in found.periods if period.due.strip("0.")}


class TestWorkedExamples:
    def test_a_rate_for_each_image(self) -> None:
        found = account(used(3, 7), used(3, 3), used(4, 1))
        assert dues(found) == {"2026-03": "0.50", "2026-04": "0.05"}
        assert (found.due, found.images, found.uses) == ("0.55", 11, 3)

    def test_a_share_of_the_fees_stated_and_a_rate_besides(self) -> None:
        fees = used(3, 2, fees=Decimal("120.00")), used(3, 1, fees=Decimal("9.99"))
        assert account(*fees, per_image=None, percent_of_fee="12.5").due == "16.25"  # 16.24875
        assert account(*fees, percent_of_fee="12.5").due == "16.40"  # 16.39875

    def test_uses_without_a_fee_are_counted_where_a_share_is_owed(self) -> None:
        uses = used(3, 2, unstated=1), used(4, 2, unstated=1)
        assert [p.lines[0].unstated for p in account(*uses, percent_of_fee="5").periods if p.lines] == [1, 1]
        assert [p.lines[0].unstated for p in account(*uses).periods if p.lines] == [0, 0]

    def test_versions_used_together_are_a_line_of_their_own(self) -> None:
        both = ("demo/fox@1", "demo/lavender@1")
        march = account(used(3, 1), used(3, 4, both), used(3, 2)).periods[2]
        assert [(line.versions, line.images, line.earned) for line in march.lines] == [
            (FOX, 3, "0.15"),
            (both, 4, "0.20"),
        ]
        assert (march.images, march.earned) == (7, "0.35")

    @pytest.mark.parametrize(
        ("rate", "images", "currency", "due"),
        [
            ("0.005", 1, "EUR", "0.00"),  # half to even
            ("0.005", 3, "EUR", "0.02"),  # 0.015
            ("0.005", 5, "EUR", "0.02"),  # 0.025
            ("0.5", 3, "JPY", "2"),  # 1.5
            ("0.5", 5, "JPY", "2"),  # 2.5
            ("0.0005", 3, "KWD", "0.002"),
            ("999999999999.999999", 1_000_000, "USD", "999999999999999999.00"),
        ],
    )
    def test_is_rounded_once_to_the_minor_unit_half_to_even(
        self, rate: str, images: int, currency: str, due: str
    ) -> None:
        lines = [used(3, 1) for _ in range(images)] if images < 10 else [used(3, images)]
        assert account(*lines, per_image=rate, currency=currency).due == due

    def test_each_period_is_rounded_and_the_sum_is_theirs(self) -> None:
        assert account(used(3, 1), used(4, 1), per_image="0.006").due == "0.02"
        assert account(used(4, 1), used(5, 1), per_image="0.006", period="quarter").due == "0.01"

    def test_uses_of_no_image_earn_nothing(self) -> None:
        assert account().due == "0.00"


class TestPeriods:
    def test_are_of_the_calendar_in_utc(self) -> None:
        late = datetime(2026, 4, 1, 0, 30, tzinfo=UTC).astimezone(tz=datetime.now().astimezone().tzinfo)
        tokyo = datetime.fromisoformat("2026-04-01T08:30:00+09:00")  # 23:30 of March in UTC
        assert dues(account(used(3, 1, at=late), used(3, 2, at=tokyo))) == {"2026-03": "0.10", "2026-04": "0.05"}

    def test_a_quarter_a_year_and_the_whole_term(self) -> None:
        uses = used(3, 1), used(5, 1), used(12, 1)
        assert dues(account(*uses, period="quarter")) == {"2026-01": "0.05", "2026-04": "0.05", "2026-10": "0.05"}
        assert dues(account(*uses, period="year")) == {"2026-01": "0.15"}
        (term,) = account(*uses, period="term").periods
        assert (term.starts, term.ends, term.due, term.whole) == (START, END, "0.15", True)

    def test_of_a_term_that_ends_beyond_the_calendar_of_utc_ends_with_it(self) -> None:
        for_ever = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-5)))
        royalty = RoyaltyTerms(currency="EUR", per_image="0.05", period="term")
        granted = licence_grant(terms=use_terms(valid_from=START, valid_until=for_ever), royalty=royalty)
        (term,) = account_of(licence_evidence(granted), [used(3, 1)], since=None, until=LATER).periods
        assert (term.ends.year, term.due, term.whole) == (9999, "0.05", False)


class TestGuarantee:
    def test_is_due_in_every_period_of_the_term_used_or_not(self) -> None:
        found = account(used(3, 100), used(4, 1000), minimum_guarantee="10.00")
        assert [period.due for period in found.periods] == ["10.00"] * 3 + ["50.00"] + ["10.00"] * 9
        assert (found.periods[0].starts, found.periods[-1].starts) == (at(1, 1), datetime(2027, 1, 1, tzinfo=UTC))
        assert found.due == "170.00"

    def test_is_not_due_in_a_period_that_the_account_covers_in_part(self) -> None:
        found = account(used(3, 1), since=at(2, 2), until=at(4, 30), minimum_guarantee="10.00")
        assert [(p.starts.month, p.whole, p.minimum, p.due) for p in found.periods] == [
            (2, False, None, "0.00"),
            (3, True, "10.00", "10.00"),
            (4, False, None, "0.00"),
        ]

    def test_is_not_due_after_the_term_is_over(self) -> None:
        late = account(used(3, 1, at=datetime(2027, 3, 1, tzinfo=UTC)), minimum_guarantee="10.00")
        assert (late.periods[-1].starts.month, late.periods[-1].minimum, late.periods[-1].due) == (3, None, "0.05")

    def test_alone_is_enough(self) -> None:
        assert account(per_image=None, minimum_guarantee="1", period="term").due == "1.00"

    def test_without_royalty_terms_there_is_no_account(self) -> None:
        with pytest.raises(InputError, match="no royalty terms"):
            account_of(licence_evidence(), [], since=None, until=LATER)


RATES = st.decimals("0", "50", places=4, allow_nan=False).map(lambda number: f"{number:f}")
SHARES = st.none() | st.sampled_from(["0.0001", "3.3333", "12.5", "50", "99.9999", "100"])


class TestOracle:
    @given(
        rate=RATES,
        share=SHARES,
        least=st.none() | RATES,
        period=st.sampled_from(["month", "quarter", "year"]),
        currency=st.sampled_from(["EUR", "JPY", "KWD"]),
        done=st.lists(st.tuples(st.integers(0, 364), st.integers(1, 64), st.none() | RATES), max_size=40),
    )
    def test_agrees_on_any_use(
        self, rate: str, share: str | None, least: str | None, period: str, currency: str, done: list[Any]
    ) -> None:
        uses = [
            Done(at=START + timedelta(days=day), images=images, licences=frozenset("a"), fee=fee and (currency, fee))
            for day, images, fee in done
        ]
        counted = [
            CountedUse(at=use.at, versions=FOX, uses=1, images=use.images, fees=Decimal(use.fee[1] if use.fee else 0))
            for use in uses
        ]
        held = licence(per_image=rate, percent_of_fee=share, minimum_guarantee=least, period=period, currency=currency)
        found = account_of(held, counted, since=None, until=LATER)
        assert held.grant.royalty
        whole = [(p.starts.year, p.starts.month) for p in found.periods if p.minimum is not None]
        expected = due_by_period(
            held.grant.royalty,
            "a",
            uses,
            digits=MINOR_DIGITS[currency],
            whole=[(p.starts.year, p.starts.month) for p in found.periods],
        )
        assert {(p.starts.year, p.starts.month): Fraction(p.due) for p in found.periods} == expected
        assert Fraction(found.due) == sum(expected.values())
        assert bool(whole) == (least is not None)

    @given(st.fractions(0, 10**9, max_denominator=10**6), st.sampled_from(["EUR", "JPY", "KWD"]))
    def test_rounds_like_fractions_do(self, amount: Fraction, currency: str) -> None:
        exact = Decimal(amount.numerator) / 1_000_000
        digits = MINOR_DIGITS[currency]
        assert Fraction(round_amount(exact, currency)) == Fraction(round(Fraction(exact) * 10**digits), 10**digits)
