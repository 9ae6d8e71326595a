"""The receipt of a consent: the record, everything that happened to it, and the proofs, for the person to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TypeVar

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import query
from registry.consent.answers import rows_of
from registry.consent.lifecycle import TRANSITIONS, Happened, due_by_clock, first_event
from registry.consent.tables import ConsentEventRow, ConsentRow, ConsentWithdrawalRow
from registry.log.proofs import receipts
from registry.log.service import statements_at
from registry.runtime import Runtime
from sdk.spec.canonical import WireModel, parse_wire
from sdk.spec.consent_events import (
    ConsentAnswer,
    ConsentEvent,
    ConsentEventView,
    ConsentReceipt,
    LifeEventReport,
)
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.terms import ConsentRecord, ConsentStatus

_Content = TypeVar("_Content", bound=WireModel)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """An event before it is told: what it was, when, by whom, and where the log has it."""

    event: ConsentEvent
    at: datetime
    by: PrincipalId | None = None
    log_index: int | None = None
    content: bytes | None = None
    reason: str | None = None


def receipt_of(session: Session, runtime: Runtime, caller: Caller, consent: RecordId) -> ConsentReceipt:
    """The receipt of a consent that the caller may read whole, in a transaction that has appended nothing.

    Raises:
        PermissionDenied: the caller has no business with consents.
        NotFound: there is none, or none that the caller may see.
    """
    now = runtime.clock()
    query.require_whole(session, caller, consent)
    held = query.one(session, caller, consent, now)
    told = _story(session, held.record, consent, now)
    logged = [event.log_index for event in told if event.log_index is not None]
    proofs = dict(zip(logged, receipts(session, runtime, logged), strict=True))
    stated = statements_at(session, logged)
    views, status = [], ConsentStatus.REQUESTED
    for event in told:
        status = TRANSITIONS.get((status, event.event), status)
        views.append(
            ConsentEventView(
                event=event.event,
                at=event.at,
                status=status,
                recorded_by=event.by,
                life_event=_read(LifeEventReport, event, ConsentEvent.ASK),
                answer=_read(ConsentAnswer, event, ConsentEvent.RECONFIRM, ConsentEvent.REFUSE),
                reason=event.reason,
                receipt=proofs.get(event.log_index) if event.log_index is not None else None,
                statement=stated.get(event.log_index) if event.log_index is not None else None,
            )
        )
    return ConsentReceipt(
        id=held.id,
        digest=held.digest,
        record=held.record,
        status=held.status,
        events=tuple(views),
        issued_at=now,
        issued_by=runtime.trust_root.log_origin,
    )


def _story(session: Session, record: ConsentRecord, consent: RecordId, now: datetime) -> Sequence[_Told]:
    """Every event in its order, those of the clock included."""
    given = session.get_one(ConsentRow, consent)
    rows = rows_of(session, consent)
    told = [_Told(event=first_event(record), at=given.recorded_at, by=given.recorded_by, log_index=given.log_index)]
    told += [_of_row(row) for row in rows]
    if ended := session.get(ConsentWithdrawalRow, consent):
        told.append(
            _Told(
                event=ConsentEvent.WITHDRAW,
                at=ended.withdrawn_at,
                by=ended.withdrawn_by,
                log_index=ended.log_index,
                reason=ended.reason,
            )
        )
        return told
    happened = [Happened(event=ConsentEvent(row.event), expressed_on=row.expressed_on) for row in rows]
    return [*told, *(_Told(event=event, at=_moment(record, event)) for event in due_by_clock(record, happened, now))]


def _of_row(row: ConsentEventRow) -> _Told:
    return _Told(
        event=ConsentEvent(row.event),
        at=row.recorded_at,
        by=row.recorded_by,
        log_index=row.log_index,
        content=row.content,
    )


def _moment(record: ConsentRecord, event: ConsentEvent) -> datetime:
    if event is ConsentEvent.ASK and record.of_age_on is not None:
        return datetime.combine(record.of_age_on, time(), tzinfo=UTC)
    return record.terms.valid_until


def _read(cls: type[_Content], told: _Told, *events: ConsentEvent) -> _Content | None:
    return parse_wire(cls, told.content, "event of a consent") if told.content and told.event in events else None
