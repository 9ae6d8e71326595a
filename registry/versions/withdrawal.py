"""A consent is withdrawn, and every approved version that rests on it is suspended: one act, one transaction."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import service as consent
from registry.consent.service import Recorded
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import VersionConsentRow, VersionStateRow
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType


def withdraw_consent(session: Session, runtime: Runtime, caller: Caller, record: RecordId, reason: str) -> Recorded:
    """Withdraw a consent and suspend what rests on it. Raises like `consent.service.claim`."""
    consent.claim(session, caller, record)
    resting = _hold_approved(session, record)  # held before the log is: whoever appends waits for no row
    withdrawn = consent.withdraw(session, runtime, caller, record, reason)
    for concept, number in resting:
        version = service.load(session, caller.tenant, concept, number)
        service.move(session, runtime, version, VersionEvent.SUSPEND)
        log.append(
            session,
            runtime,
            event=AuditEventType.VERSION_SUSPENDED,
            actor=caller.principal,
            subject=version.name,
            evidence={"manifest": version.digest, "consent": withdrawn.digest},
            facts={"consent": record},
        )
    return withdrawn


def _hold_approved(session: Session, record: RecordId) -> list[tuple[ConceptId, int]]:
    same = (VersionConsentRow.concept_id == VersionStateRow.concept_id) & (
        VersionConsentRow.number == VersionStateRow.number
    )
    statement = (
        select(VersionStateRow.concept_id, VersionStateRow.number)
        .join(VersionConsentRow, same)
        .where(VersionConsentRow.consent_id == record, VersionStateRow.status == VersionStatus.APPROVED.value)
        .order_by(VersionStateRow.concept_id, VersionStateRow.number)
        .with_for_update(of=VersionStateRow, key_share=True)
    )
    return [(concept, number) for concept, number in session.execute(statement).all()]
