"""What is due under licences, counted in the database and computed by the rules that everybody computes by.

The account is the registry's claim. Whoever has the ledger (`ledger`) computes it from receipts, and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import evidence
from registry.consent import query as consents
from registry.generations.query import require_all_readable
from registry.generations.tables import GenerationResultRow, GenerationRow, GenerationVersionRow
from registry.runtime import Runtime
from registry.versions import service as versions
from sdk.errors import InputError
from sdk.royalties.account import CountedUse, account_of
from sdk.spec.ids import ConceptId
from sdk.spec.policy import Effect
from sdk.spec.royalty_report import LicenceAccount, RoyaltyQuery, RoyaltyReport
from sdk.spec.terms import LicenceEvidence


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """Results of one month that used the same versions and stated fees in the same currency."""

    month: datetime
    names: tuple[str, ...]  # tenant/name@number, and #2 when its second renewal held
    currency: str | None
    uses: int
    images: int
    fees: Decimal


def report(session: Session, runtime: Runtime, caller: Caller, query: RoyaltyQuery) -> RoyaltyReport:
    """The accounts of the licence asked for, or of every licence with royalty terms.

    Raises:
        PolicyDenied: the caller may not read everybody's generations.
        NotFound: there is no such licence.
        InputError: it has no royalty terms, or the time asked about has not begun.
    """
    require_all_readable(runtime, caller)
    until = min(query.until or runtime.clock(), runtime.clock())
    if query.since and query.since >= until:
        raise InputError(f"there is no account from {query.since.isoformat()} on: it is {until.isoformat()} now")
    licences = _licences(session, caller, query)
    covered = sorted({concept for licence in licences for concept in licence.grant.covers})
    counted = _count(session, caller, covered, query.since, until)
    uses, images = _unfinished(session, caller, covered, query.since, until)
    return RoyaltyReport(
        tenant=caller.tenant,
        since=query.since,
        until=until,
        accounts=tuple(_account(session, caller, each, counted, query.since, until) for each in licences),
        open_uses=uses,
        open_images=images,
    )


def _licences(session: Session, caller: Caller, query: RoyaltyQuery) -> tuple[LicenceEvidence, ...]:
    if query.licence is None:
        return tuple(held for held in consents.licences(session, caller.tenant) if held.grant.royalty)
    (held,) = evidence.licences_of(session, caller.tenant, [query.licence])
    if held.grant.royalty is None:
        raise InputError(f"licence {held.id} has no royalty terms, so there is no account of it")
    return (held,)


def _account(
    session: Session,
    caller: Caller,
    licence: LicenceEvidence,
    counted: Sequence[_Counted],
    since: datetime | None,
    until: datetime,
) -> LicenceAccount:
    rests = _resting_on(session, caller, licence)
    uses = [
        _as_counted(each, names, licence)
        for each in counted
        if (names := tuple(name for name in each.names if name in rests))
    ]
    return account_of(licence, uses, since=since, until=until)


def _resting_on(session: Session, caller: Caller, licence: LicenceEvidence) -> frozenset[str]:
    """The versions that rest on the licence, each under the terms that say so: `name`, or `name#2` under its second renewal."""
    covered = [concept for concept in dict.fromkeys(licence.grant.covers) if concept.tenant == caller.tenant]
    known = [version for concept in covered for version in versions.versions_of(session, caller.tenant, concept)]
    first = {version.name for version in known if licence.id in version.manifest.licences}
    renewed = {
        f"{version.name}#{renewal.round}"
        for version in known
        for renewal in version.renewals
        if licence.id in renewal.licences
    }
    return frozenset(first | renewed)


def _as_counted(each: _Counted, names: tuple[str, ...], licence: LicenceEvidence) -> CountedUse:
    royalty = licence.grant.royalty
    stated = royalty is not None and each.currency == royalty.currency
    return CountedUse(
        at=each.month,
        versions=tuple(name.partition("#")[0] for name in names),
        uses=each.uses,
        images=each.images,
        fees=each.fees if stated else Decimal(0),
        unstated=0 if stated else each.uses,
    )


def _count(
    session: Session, caller: Caller, covered: Sequence[ConceptId], since: datetime | None, until: datetime
) -> tuple[_Counted, ...]:
    recorded, named = GenerationResultRow.recorded_at, GenerationVersionRow
    under = case((named.renewal > 0, literal("#") + cast(named.renewal, Text)), else_="")
    name = cast(named.concept_id, Text) + literal("@") + cast(named.number, Text) + under
    names = func.array_agg(aggregate_order_by(name, named.position.asc()))
    within = [recorded < until, *([recorded >= since] if since else [])]
    each = (
        select(
            GenerationResultRow.generation_id,
            func.date_trunc("month", recorded, "UTC").label("month"),
            GenerationResultRow.fee_currency.label("currency"),
            GenerationResultRow.images.label("images"),
            func.coalesce(GenerationResultRow.fee_amount, 0).label("fee"),
            names.label("names"),
        )
        .join(named, named.generation_id == GenerationResultRow.generation_id)
        .where(_of(GenerationResultRow.generation_id, covered), *within)
        .group_by(GenerationResultRow.generation_id)
        .subquery()
    )
    keys = (each.c.month, each.c.names, each.c.currency)
    rows = session.execute(
        select(*keys, func.count(), func.sum(each.c.images), func.sum(each.c.fee)).group_by(*keys)
    ).all()
    return tuple(
        _Counted(
            month=month.astimezone(UTC), names=tuple(names), currency=currency, uses=uses, images=images, fees=fees
        )
        for month, names, currency, uses, images, fees in rows
    )


def _unfinished(
    session: Session, caller: Caller, covered: Sequence[ConceptId], since: datetime | None, until: datetime
) -> tuple[int, int]:
    """Permits without a result: how many, and of how many images."""
    decided = GenerationRow.decided_at
    statement = (
        select(func.count(), func.sum(GenerationRow.asked))
        .outerjoin(GenerationResultRow, GenerationResultRow.generation_id == GenerationRow.id)
        .where(
            GenerationRow.tenant == caller.tenant,
            GenerationRow.effect == Effect.PERMIT.value,
            GenerationResultRow.generation_id.is_(None),
            decided < until,
            _of(GenerationRow.id, covered),
        )
    )
    uses, images = session.execute(statement.where(decided >= since) if since else statement).one()
    return uses, images or 0


def _of(generation: Any, covered: Sequence[ConceptId]) -> ColumnElement[bool]:
    """Generations that named one of these concepts."""
    named: Select[Any] = select(GenerationVersionRow.generation_id).where(GenerationVersionRow.concept_id.in_(covered))
    found: ColumnElement[bool] = generation.in_(named)
    return found
