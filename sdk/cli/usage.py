"""`imprimatur usage`: how much was used, by concept, version, application, territory and period."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import typer

from sdk.cli.accounting import as_moment
from sdk.cli.connection import ProfileOption, connected, named, show_table
from sdk.errors import InputError
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.usage import UsageCount, UsageDimension, UsageQuery

commands = typer.Typer()
_COUNTS = ("permitted", "denied", "images granted", "images recorded")


@commands.command("usage")
def show_usage(
    by: Annotated[list[UsageDimension] | None, typer.Option(help="Tell apart by this; may be repeated.")] = None,
    concept: Annotated[str | None, typer.Option(help="Only of this concept.", show_default=False)] = None,
    application: Annotated[str | None, typer.Option(help="Only by this application.", show_default=False)] = None,
    territory: Annotated[str | None, typer.Option(help="Only for this territory.", show_default=False)] = None,
    since: Annotated[datetime | None, typer.Option(help="From this moment on, UTC.", show_default=False)] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this moment, UTC.", show_default=False)] = None,
    profile: ProfileOption = None,
) -> None:
    """Show how much was used. A generation of two concepts counts in the rows of both, and once in the total."""
    asked = UsageQuery(
        by=tuple(dict.fromkeys(by or [UsageDimension.CONCEPT])),
        concept=named(ConceptId, concept) if concept else None,
        application=named(PrincipalId, application) if application else None,
        territory=_territory(territory) if territory else None,
        since=as_moment(since),
        until=as_moment(until),
    )
    with connected(profile) as (_, client):
        report = client.usage(asked)
    heads = (*(dimension.value for dimension in report.by), *_COUNTS)
    rows = [(*row.key, *_numbers(row.count)) for row in report.rows]
    blanks = ("",) * (len(report.by) - 1)
    show_table("Usage", heads, [*rows, ("total", *blanks, *_numbers(report.total))] if rows else [])


def _territory(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}|WORLD", code):
        raise InputError(f"expected a territory such as 'JP' or 'WORLD', found '{code}'")
    return code


def _numbers(count: UsageCount) -> tuple[str, ...]:
    return (str(count.permitted), str(count.denied), str(count.images_granted), str(count.images_recorded))
