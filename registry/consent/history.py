"""What happened to consents, and how they stood at a moment: over rows that are only ever inserted.

Decisions count every event that is recorded (`events_of` without a moment), so that clocks that differ between machines
cannot bring a consent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from registry.consent.lifecycle import Happened, status_at
from registry.consent.tables import ConsentRow
from registry.personal import ERASED
from sdk.spec.canonical import parse_wire
from sdk.spec.consent_events import ConsentEvent
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import ConsentRecord, ConsentStatus

_TOLD: Final = f"""
    (SELECT consent_id, event, expressed_on, place, recorded_at AS at FROM consent_events
      UNION ALL
     SELECT consent_id, '{ConsentEvent.WITHDRAW.value}', NULL, NULL, withdrawn_at FROM consent_withdrawals -- the last of any
    ) AS told
"""  # noqa: S608 - a constant of this code
_EVENTS: Final = text(f"""
    SELECT consent_id, event, expressed_on
      FROM {_TOLD}
     WHERE consent_id = ANY(:ids) AND at <= coalesce(CAST(:until AS timestamptz), 'infinity')
     ORDER BY consent_id, place NULLS LAST
""")  # noqa: S608
HAPPENED: Final = f"""
    (SELECT jsonb_agg(jsonb_build_array(event, expressed_on) ORDER BY place NULLS LAST)
       FROM {_TOLD} WHERE consent_id = consents.id)
"""  # noqa: S608
"""SQL beside a row of `consents`: all its events, as JSON for `read_happened`."""


def read_happened(told: Sequence[tuple[str, str | None]] | None) -> Sequence[Happened]:
    """The events in a `HAPPENED` column, in their order."""
    return [
        Happened(event=ConsentEvent(event), expressed_on=date.fromisoformat(day) if day else None)
        for event, day in told or ()
    ]


def events_of(
    session: Session, ids: Sequence[RecordId], until: datetime | None = None
) -> Mapping[RecordId, Sequence[Happened]]:
    """The events of each of these consents after it was given, in their order; up to the moment `until`, if there is one."""
    found: dict[RecordId, list[Happened]] = {}
    for row in session.execute(_EVENTS, {"ids": list(ids), "until": until}):
        happened = Happened(event=ConsentEvent(row.event), expressed_on=row.expressed_on)
        found.setdefault(RecordId(row.consent_id), []).append(happened)
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
