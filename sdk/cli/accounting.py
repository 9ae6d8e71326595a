"""Options of the commands that account for use: which licence, from when until when, and what was charged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from sdk.cli.connection import named
from sdk.errors import InputError
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import RecordId
from sdk.spec.royalty_report import RoyaltyQuery

LicenceOption = Annotated[str | None, typer.Option(help="Only of this licence.", show_default=False)]
SinceOption = Annotated[datetime | None, typer.Option(help="From this moment on, UTC.", show_default=False)]
UntilOption = Annotated[datetime | None, typer.Option(help="Before this moment, UTC. Default: now.")]
FeeOption = Annotated[
    str | None,
    typer.Option(
        help="What is charged for each generation, such as 'JPY 4000': a licence may have a share of it.",
        metavar="CURRENCY AMOUNT",
        show_default=False,
    ),
]


def royalty_query(licence: str | None, since: datetime | None, until: datetime | None) -> RoyaltyQuery:
    """What is asked for. Raises `FormatError` where its end is not behind its beginning."""
    asked = {
        "licence": named(RecordId, licence) if licence else None,
        "since": as_moment(since),
        "until": as_moment(until),
    }
    return validate_wire(RoyaltyQuery, asked, "period")


def as_moment(given: datetime | None) -> datetime | None:
    """The moment that was given; without a zone it is in UTC."""
    return given.replace(tzinfo=UTC) if given and given.tzinfo is None else given


def parse_fee(text: str | None) -> tuple[str, str] | None:
    """A currency and an amount; whether they are such is for `sdk.compose` to say. Raises `InputError`."""
    if text is None:
        return None
    parts = text.split()
    if len(parts) != 2:
        raise InputError(f"a fee is a currency and an amount, such as 'JPY 4000', found {text!r}")
    return parts[0], parts[1]
