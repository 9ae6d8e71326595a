"""Money as data: ISO 4217 currencies, amounts and percentages as decimal text. Never a float, in no place.

    Amount("0.05").value        # Decimal("0.05")
    MINOR_DIGITS["JPY"]         # 0: what is paid out is rounded to whole yen

How amounts add up, and how they are rounded, is not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from sdk.spec.canonical import WireModel
from sdk.spec.ids import PatternedText

_TWO_DIGITS: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP "
    "CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK "
    "NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
    "TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_NO_DIGITS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS: Final = "BHD IQD JOD KWD LYD OMR TND"

MINOR_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(_TWO_DIGITS.split(), 2)
    | dict.fromkeys(_NO_DIGITS.split(), 0)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
)
"""The currencies that are paid in, by ISO 4217 code, with the digits of their minor unit (list one, as of 2026-01)."""


class Amount(PatternedText):
    """An amount of money, or a rate, not negative: up to 12 digits, and up to 6 after the point."""

    pattern = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,6})?")
    what = "an amount as decimal text"
    example = "0.05"

    @property
    def value(self) -> Decimal:
        return Decimal(self)


class Percentage(PatternedText):
    """A share of something, above 0 and up to 100, with up to 4 digits after the point."""

    pattern = re.compile(
        r"100(?:\.0{1,4})?|[1-9][0-9]?(?:\.[0-9]{1,4})?|0\.(?:[1-9][0-9]{0,3}|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9])"
    )
    what = "a percentage as decimal text"
    example = "12.5"

    @property
    def value(self) -> Decimal:
        return Decimal(self)

    @property
    def share(self) -> Decimal:
        """The percentage as a factor: 12.5 is 0.125."""
        return self.value / 100


def _known(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise ValueError(f"{code} is no currency of ISO 4217; write one such as EUR, JPY or USD")
    return code


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known)]
"""An ISO 4217 code of `MINOR_DIGITS`."""


class Money(WireModel):
    """An amount of a currency."""

    currency: Currency
    amount: Amount
