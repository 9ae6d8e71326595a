"""Usage and what is due for it, by period; and refused attempts, which the person a concept is about reads too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from registry.console.chart import FOOT, HEIGHT, WIDTH, bars
from registry.console.filters import Text, midnight, named
from registry.console.view import BASE, AnyViewDep, ViewDep
from registry.generations import denials, royalties
from registry.generations.usage import usage
from sdk.errors import InputError
from sdk.spec.canonical import validate_wire
from sdk.spec.denials import DenialQuery
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.paging import Cursor
from sdk.spec.royalty_report import RoyaltyQuery
from sdk.spec.usage import UsageDimension, UsageQuery, UsageReport

PAGE_DENIALS = 50
YEAR = timedelta(days=365)

router = APIRouter()


@router.get("/accounts")
def show_accounts(view: ViewDep, licence: Text = "", since: Text = "", until: Text = "") -> Response:
    """Usage by month, drawn and in numbers, and what is due under licences; the year before its end, unless another is asked for."""
    end = midnight(until, after=1) or view.runtime.clock()
    begin = midnight(since) or first_of_month(end - YEAR)
    if begin >= end:
        raise InputError(f"the period ends on {end:%Y-%m-%d}, before it begins on {begin:%Y-%m-%d}; choose other days")
    with view.runtime.transaction(view.caller.tenant) as session:
        asked = {"licence": named(RecordId, licence), "since": begin, "until": end}
        query = validate_wire(RoyaltyQuery, asked, "accounts")
        report = royalties.report(session, view.runtime, view.caller, query)
        months, versions = (
            usage(session, view.runtime, view.caller, UsageQuery(by=(by,), since=begin, until=end))
            for by in (UsageDimension.MONTH, UsageDimension.VERSION)
        )
    return view.page(
        "accounts.html",
        report=report,
        months=months,
        versions=versions,
        chart=bars(rows_of(months)),
        size=(WIDTH, HEIGHT, HEIGHT - FOOT),
        span=(begin, end),
        filters={"licence": licence, "since": since, "until": until},
    )


@router.get("/denials")
def list_denials(
    view: AnyViewDep,
    concept: Text = "",
    since: Text = "",
    until: Text = "",
    cursor: Cursor | None = None,
) -> Response:
    """Who tried what and was refused, newest first: a subject reads it of their own concepts."""
    asked = {"concept": named(ConceptId, concept), "since": midnight(since), "until": midnight(until, after=1)}
    query = validate_wire(DenialQuery, asked | {"cursor": cursor, "limit": PAGE_DENIALS}, "denials")
    with view.runtime.transaction(view.caller.tenant) as session:
        page = denials.page(session, view.runtime, view.caller, query)
    filters = {"concept": concept, "since": since, "until": until}
    return view.page(
        "denials.html",
        denials=page.denials,
        filters=filters,
        older="?" + urlencode(filters | {"cursor": page.next_cursor}) if page.next_cursor else None,
        here=f"{BASE}/denials",
    )


def first_of_month(moment: datetime) -> datetime:
    """The start of the month of `moment`, in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def rows_of(months: UsageReport) -> list[tuple[str, int, int]]:
    """Label, images recorded, and images granted beyond those, of each month."""
    return [
        (row.key[0], row.count.images_recorded, max(row.count.images_granted - row.count.images_recorded, 0))
        for row in months.rows
    ]
