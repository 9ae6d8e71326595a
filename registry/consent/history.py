"""How consents stood at a moment: one query over rows that are only ever inserted.

Decisions never use this: they count every withdrawal that is recorded (`service.consents_of`), so that clocks that
differ between machines cannot bring a consent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from registry.consent.service import status_of
from registry.consent.tables import ConsentRow, ConsentWithdrawalRow
from registry.personal import ERASED
from sdk.spec.canonical import parse_wire
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.terms import ConsentRecord, ConsentStatus


def statuses_at(
    session: Session, tenant: TenantName, ids: Sequence[RecordId], at: datetime
) -> Mapping[RecordId, ConsentStatus]:
    """The status of each of these consents at the moment `at`; one that was recorded later is left out."""
    ended = and_(ConsentWithdrawalRow.consent_id == ConsentRow.id, ConsentWithdrawalRow.withdrawn_at <= at)
    statement = (
        select(ConsentRow.id, ConsentRow.content, ConsentWithdrawalRow.consent_id)
        .outerjoin(ConsentWithdrawalRow, ended)
        .where(ConsentRow.tenant == tenant, ConsentRow.id.in_(ids), ConsentRow.recorded_at <= at)
        .order_by(ConsentRow.id)
    )
    return {
        consent: ConsentStatus.WITHDRAWN  # an erased record no longer says how it stood before
        if content == ERASED
        else status_of(parse_wire(ConsentRecord, content, f"consent {consent}"), withdrawn=bool(withdrawn), at=at)
        for consent, content, withdrawn in session.execute(statement).all()
    }
