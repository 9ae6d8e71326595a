"""A ledger of use, page by page: receipts with what proves them (`sdk.spec.ledger`), for whoever may read generations.

All pages of a ledger are of the log as it stood at the first one (`size`): what was recorded later is in none of them.
Generations are read in the order of their permits; whether one is in the period is told by its log entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import evidence
from registry.consent import query as consents
from registry.generations.query import require_all_readable
from registry.generations.tables import GenerationResultRow, GenerationRow, GenerationVersionRow
from registry.log import proofs
from registry.log import query as entries
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service as versions
from registry.versions.version import Version
from sdk.errors import InputError
from sdk.spec.api import GenerationResult
from sdk.spec.canonical import parse_wire
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.ledger import LedgerEntry, LedgerPage, LedgerQuery, UseReceipt
from sdk.spec.log_entry import parse_log_entry
from sdk.spec.policy import Effect
from sdk.spec.terms import LicenceEvidence

_SLACK: Final = timedelta(hours=1)  # between a row's time and its log entry's, which decides
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - _SLACK

_Rows = Sequence[tuple[GenerationRow, GenerationResultRow | None]]


def page(session: Session, runtime: Runtime, caller: Caller, query: LedgerQuery) -> LedgerPage:
    """One page of the ledger that `query` asks for.

    Raises:
        PolicyDenied: the caller may not read everybody's generations.
        NotFound: there is no such licence.
        InputError: the log is not that long.
    """
    require_all_readable(runtime, caller)
    licence = evidence.licences_of(session, caller.tenant, [query.licence])[0] if query.licence else None
    size = _size(session, query)
    rows = _rows(session, caller, query, licence, size)
    shown = rows[: query.limit]
    contents = entries.contents_of(session, [index for row, result in shown for index in _indices(row, result)])
    receipts = [
        _receipt(row, result, contents) for row, result in shown if _in_period(contents[_last(row, result)], query)
    ]
    proven = [entry.index for receipt in receipts for entry in (receipt.permit, receipt.result) if entry]
    used = _used(session, caller, [row.id for row, _ in shown], licence)
    return LedgerPage(
        tenant=caller.tenant,
        licence=query.licence,
        since=query.since,
        until=query.until,
        after=query.after,
        next_after=shown[-1][0].log_index if len(rows) > query.limit else None,
        receipts=tuple(receipts),
        manifests=tuple(version.content for version in used),
        licences=(licence,) if licence else _licences(session, caller, used, first=query.after < 0),
        proof=proofs.prove_all(session, proven, size),
        checkpoint=proofs.checkpoint_note(session, runtime, size),
    )


def _size(session: Session, query: LedgerQuery) -> int:
    present = log.tree_size(session)
    if query.size and query.size > present:
        raise InputError(f"the log has {present} entries; there is no ledger at size {query.size}")
    return query.size or present


def _rows(session: Session, caller: Caller, query: LedgerQuery, licence: LicenceEvidence | None, size: int) -> _Rows:
    """The permits after `query.after`, one more than the page has, with the results that the log of `size` knows."""
    known = and_(GenerationResultRow.generation_id == GenerationRow.id, GenerationResultRow.log_index < size)
    statement = (
        select(GenerationRow, GenerationResultRow)
        .outerjoin(GenerationResultRow, known)
        .where(
            GenerationRow.tenant == caller.tenant,
            GenerationRow.effect == Effect.PERMIT.value,
            GenerationRow.log_index > query.after,
            GenerationRow.log_index < size,
        )
    )
    if licence:
        covers = GenerationVersionRow.concept_id.in_(licence.grant.covers)
        statement = statement.where(GenerationRow.id.in_(select(GenerationVersionRow.generation_id).where(covers)))
    at = func.coalesce(GenerationResultRow.recorded_at, GenerationRow.decided_at)
    if query.since:
        statement = statement.where(at >= query.since - _SLACK)
    if query.until:
        statement = statement.where(at < min(query.until, _LATEST) + _SLACK)
    ordered = statement.order_by(GenerationRow.log_index).limit(query.limit + 1)
    return [(row, result) for row, result in session.execute(ordered)]


def _indices(row: GenerationRow, result: GenerationResultRow | None) -> tuple[int, ...]:
    return (row.log_index, result.log_index) if result else (row.log_index,)


def _last(row: GenerationRow, result: GenerationResultRow | None) -> int:
    return _indices(row, result)[-1]


def _in_period(content: bytes, query: LedgerQuery) -> bool:
    at = parse_log_entry(content).at
    return (query.since is None or at >= query.since) and (query.until is None or at < query.until)


def _receipt(row: GenerationRow, result: GenerationResultRow | None, contents: Mapping[int, bytes]) -> UseReceipt:
    permit = LedgerEntry(index=row.log_index, content=contents[row.log_index])
    if result is None:
        return UseReceipt(permit=permit, intent=row.intent)
    return UseReceipt(
        permit=permit,
        intent=row.intent,
        result=LedgerEntry(index=result.log_index, content=contents[result.log_index]),
        statement=parse_wire(GenerationResult, result.content, f"result of {row.id}").statement,
    )


def _used(
    session: Session, caller: Caller, generations: Sequence[RecordId], licence: LicenceEvidence | None
) -> Mapping[Version, Sequence[int]]:
    """The versions that these generations used, of the licence's concepts or of all; each with the renewals it stood under."""
    row = GenerationVersionRow
    named = select(row.concept_id, row.number, row.renewal).distinct().where(row.generation_id.in_(generations))
    if licence:
        named = named.where(row.concept_id.in_(licence.grant.covers))
    stood: dict[tuple[ConceptId, int], list[int]] = {}
    for concept, number, renewal in session.execute(named.order_by(*named.selected_columns)).all():
        stood.setdefault((concept, number), []).append(renewal)
    return {versions.load(session, caller.tenant, *name): renewals for name, renewals in stood.items()}


def _licences(
    session: Session, caller: Caller, used: Mapping[Version, Sequence[int]], *, first: bool
) -> tuple[LicenceEvidence, ...]:
    """The licences that these versions rested on; on the first page also those that earn without any use."""
    stood = [(version, renewal) for version, renewals in used.items() for renewal in renewals]
    ids = {licence for version, renewal in stood for licence in version.licences_under(renewal)}
    known = consents.licences(session, caller.tenant) if first else ()
    ids |= {licence.id for licence in known if licence.grant.royalty}
    return evidence.licences_of(session, caller.tenant, sorted(ids))
