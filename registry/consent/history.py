"""What happened to consents, and how they stood at a moment: over rows that are only ever inserted.

Decisions count every event that is recorded (`events_of` without a moment), so that clocks that differ between machines
cannot bring a consent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.consent.lifecycle import Happened, status_at
from registry.consent.tables import ConsentEventRow, ConsentRow, ConsentWithdrawalRow
from registry.personal import ERASED
from sdk.spec.canonical import parse_wire
from sdk.spec.consent_events import ConsentEvent
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import ConsentRecord, ConsentStatus


def events_of(
    session: Session, ids: Sequence[RecordId], until: datetime | None = None
) -> Mapping[RecordId, Sequence[Happened]]:
    """The events of each of these consents after it was given, in their order; up to the moment `until`, if there is one."""
    asked = select(ConsentEventRow).where(ConsentEventRow.consent_id.in_(ids))
    ended = select(ConsentWithdrawalRow.consent_id).where(ConsentWithdrawalRow.consent_id.in_(ids))
    if until is not None:
        asked = asked.where(ConsentEventRow.recorded_at <= until)
        ended = ended.where(ConsentWithdrawalRow.withdrawn_at <= until)
    found: dict[RecordId, list[Happened]] = {}
    for row in session.scalars(asked.order_by(ConsentEventRow.consent_id, ConsentEventRow.place)):
        happened = Happened(event=ConsentEvent(row.event), expressed_on=row.expressed_on)
        found.setdefault(row.consent_id, []).append(happened)
    for consent in session.scalars(ended):  # the last event of any consent
        found.setdefault(consent, []).append(Happened(event=ConsentEvent.WITHDRAW))
    return found


def statuses_at(
    session: Session, tenant: TenantName, ids: Sequence[RecordId], at: datetime
) -> Mapping[RecordId, ConsentStatus]:
    """The status of each of these consents at the moment `at`; one that was recorded later is left out."""
    events = events_of(session, ids, at)
    statement = select(ConsentRow.id, ConsentRow.content).where(
        ConsentRow.tenant == tenant, ConsentRow.id.in_(ids), ConsentRow.recorded_at <= at
    )
    return {
        consent: ConsentStatus.WITHDRAWN  # an erased record no longer says how it stood before
        if content == ERASED
        else status_at(parse_wire(ConsentRecord, content, f"consent {consent}"), events.get(consent, ()), at)
        for consent, content in session.execute(statement.order_by(ConsentRow.id)).all()
    }
