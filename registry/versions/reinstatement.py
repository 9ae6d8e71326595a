"""A consent holds again, and what was suspended for want of it is approved again: the same act, the same transaction.

The approvals of a version are over its exact terms, so they count again only when it rests on the very same records.
It stays suspended while another of its consents does not hold, and while another version of its concept is approved.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from registry.auth import Caller
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import VersionConsentRow, VersionStateRow
from registry.versions.version import Version
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType


def reinstate_resting_on(session: Session, runtime: Runtime, caller: Caller, record: RecordId) -> tuple[Version, ...]:
    """Approve again every suspended version that rests on `record` and may be; returns them as they were.

    The consent must hold already in this transaction; whoever calls has checked who may say so.

    Raises:
        Conflict: a version moved, or another one was approved, at the same moment.
    """
    back = [
        version for version in suspended_resting_on(session, caller, record) if _may_return(session, runtime, version)
    ]
    for version in back:
        service.move(session, runtime, version, VersionEvent.REINSTATE)
    for version in back:
        log.append(
            session,
            runtime,
            event=AuditEventType.VERSION_REINSTATED,
            actor=caller.principal,
            subject=version.name,
            evidence={"manifest": version.digest},
            facts={"consent": record},
        )
    return tuple(back)


def consents_beside(session: Session, record: RecordId) -> Sequence[RecordId]:
    """The consents of every version that rests on `record`, which is one of them: to be held before the versions are."""
    beside = aliased(VersionConsentRow)
    same = (beside.concept_id == VersionConsentRow.concept_id) & (beside.number == VersionConsentRow.number)
    statement = select(beside.consent_id).join(VersionConsentRow, same).where(VersionConsentRow.consent_id == record)
    return session.scalars(statement.distinct()).all()


def suspended_resting_on(session: Session, caller: Caller, record: RecordId) -> Sequence[Version]:
    """The newest suspended version of each concept that rests on `record`, held until the transaction ends."""
    same = (VersionConsentRow.concept_id == VersionStateRow.concept_id) & (
        VersionConsentRow.number == VersionStateRow.number
    )
    statement = (
        select(VersionStateRow.concept_id, VersionStateRow.number)
        .join(VersionConsentRow, same)
        .where(VersionConsentRow.consent_id == record, VersionStateRow.status == VersionStatus.SUSPENDED.value)
        .order_by(VersionStateRow.concept_id, VersionStateRow.number.desc())
        .with_for_update(of=VersionStateRow, key_share=True)
    )
    found: dict[ConceptId, Version] = {}
    for concept, number in session.execute(statement).all():
        found.setdefault(concept, service.load(session, caller.tenant, concept, number))
    return list(found.values())


def _may_return(session: Session, runtime: Runtime, version: Version) -> bool:
    facts = version.facts(service.terms_of(session, version, runtime.clock()))
    return facts.consent_live and service.approved_version(session, version.tenant, version.concept) is None
