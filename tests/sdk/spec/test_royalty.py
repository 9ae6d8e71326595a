"""Money and royalty terms: what they accept, that nothing is a float, and that a record without them keeps its digest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from support.governed import licence_grant

from sdk.errors import FormatError
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.money import MINOR_DIGITS, Amount, Percentage
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms
from sdk.spec.terms import LicenceGrant

TERMS: dict[str, Any] = {"currency": "EUR", "per_image": "0.05", "period": "month"}


class TestAmount:
    @pytest.mark.parametrize("text", ["0", "0.05", "12", "999999999999.999999", "1.50"])
    def test_is_exact(self, text: str) -> None:
        assert str(Amount(text).value) == text

    @pytest.mark.parametrize(
        "text", ["", "-1", "+1", "01", "1.", ".5", "1e3", "1,5", "0.0000001", "1" * 13, "NaN", "1\n"]
    )
    def test_refuses_what_is_none(self, text: str) -> None:
        with pytest.raises(FormatError, match=r"an amount as decimal text such as '0\.05'"):
            Amount(text)


class TestPercentage:
    @pytest.mark.parametrize(
        ("text", "share"), [("100", "1"), ("100.00", "1"), ("12.5", "0.125"), ("0.0001", "0.000001")]
    )
    def test_is_a_share(self, text: str, share: str) -> None:
        assert Percentage(text).share == Decimal(share)

    @pytest.mark.parametrize("text", ["0", "0.0", "100.1", "101", "-1", "12.55555", "5%"])
    def test_refuses_what_is_none(self, text: str) -> None:
        with pytest.raises(FormatError):
            Percentage(text)


class TestCurrency:
    def test_knows_the_digits_of_its_minor_unit(self) -> None:
        assert {code: MINOR_DIGITS[code] for code in ("EUR", "JPY", "KWD")} == {"EUR": 2, "JPY": 0, "KWD": 3}

    @pytest.mark.parametrize("code", ["XXX", "eur", "EURO", "ZZZ"])
    def test_refuses_what_is_none(self, code: str) -> None:
        with pytest.raises(ValidationError, match="currency"):
            RoyaltyTerms.model_validate(TERMS | {"currency": code})


class TestRoyaltyTerms:
    def test_travel_as_text(self) -> None:
        terms = RoyaltyTerms.model_validate(TERMS | {"percent_of_fee": "12.5", "minimum_guarantee": "250"})
        assert b'"per_image":"0.05"' in encode_canonical(terms)
        assert parse_wire(RoyaltyTerms, encode_canonical(terms), "royalty") == terms
        assert terms.period is RoyaltyPeriod.MONTH

    @pytest.mark.parametrize("name", ["per_image", "percent_of_fee", "minimum_guarantee"])
    def test_take_no_number(self, name: str) -> None:
        with pytest.raises(ValidationError, match=name):
            RoyaltyTerms.model_validate(TERMS | {name: 0.05})

    def test_name_something_to_pay(self) -> None:
        with pytest.raises(ValidationError, match="name at least one of"):
            RoyaltyTerms.model_validate({"currency": "EUR", "period": "year"})

    def test_are_part_of_a_licence_that_has_them_and_of_no_other(self) -> None:
        assert b"royalty" not in encode_canonical(licence_grant())
        with_royalty = licence_grant(royalty=RoyaltyTerms.model_validate(TERMS))
        assert parse_wire(LicenceGrant, encode_canonical(with_royalty), "licence") == with_royalty
