"""A consent holds again, and what was suspended for want of it is approved again: the same act, the same transaction.

The approvals of a version are over its exact terms, so they count again only when it rests on the very same records.
It stays suspended while another of its consents does not hold, and while another version of its concept is approved. Where
a consent that it ever rested on was withdrawn after its terms were approved, the person said no: it takes a renewal.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from registry.auth import Caller
from registry.consent import evidence
from registry.consent.tables import ConsentWithdrawalRow
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import VersionConsentRow, VersionStateRow
from registry.versions.version import Version
from sdk.errors import Conflict
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.terms import ConsentStatus


def reinstate_resting_on(session: Session, runtime: Runtime, caller: Caller, record: RecordId) -> tuple[Version, ...]:
    """Approve again every suspended version that rests on `record` and may be; returns them as they were.

    Whoever calls has checked who may say so.

    Raises:
        Conflict: the consent does not hold; or a version moved, or another one was approved, at the same moment.
    """
    [held] = evidence.consents_of(session, caller.tenant, [record], runtime.clock())
    if held.status is not ConsentStatus.GIVEN:
        raise Conflict(f"consent {record} is {held.status.value}; name the one that holds again")
    suspended = suspended_resting_on(session, caller, record)
    back = [version for version in suspended if what_keeps(session, runtime, version) is None]
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


def is_any_suspended(session: Session, record: RecordId) -> bool:
    """Whether a suspended version rests on `record`."""
    return session.execute(_suspended_on(record).limit(1)).first() is not None


def suspended_resting_on(session: Session, caller: Caller, record: RecordId) -> Sequence[Version]:
    """The newest suspended version of each concept that rests on `record`, held until the transaction ends."""
    newest_first = _suspended_on(record).order_by(VersionStateRow.concept_id, VersionStateRow.number.desc())
    found: dict[ConceptId, Version] = {}
    for concept, number in session.execute(newest_first.with_for_update(of=VersionStateRow, key_share=True)).all():
        found.setdefault(concept, service.load(session, caller.tenant, concept, number))
    return list(found.values())


def _suspended_on(record: RecordId) -> Select[ConceptId, int]:
    same = (VersionConsentRow.concept_id == VersionStateRow.concept_id) & (
        VersionConsentRow.number == VersionStateRow.number
    )
    suspended = VersionStateRow.status == VersionStatus.SUSPENDED.value
    statement = select(VersionStateRow.concept_id, VersionStateRow.number).join(VersionConsentRow, same)
    return statement.where(VersionConsentRow.consent_id == record, suspended)


def what_keeps(session: Session, runtime: Runtime, version: Version) -> str | None:
    """Why the version stays suspended; none when it may be approved again."""
    if not version.facts(service.terms_of(session, version, runtime.clock())).consent_live:
        return "another of its consents does not hold"
    if withdrawn := _withdrawn_since(session, version):
        return f"consent {withdrawn} was withdrawn after its terms were approved; ask for a renewal under a new one"
    if other := service.approved_version(session, version.tenant, version.concept):
        return f"{other.name} is approved; revoke that one first"
    return None


def _withdrawn_since(session: Session, version: Version) -> RecordId | None:
    """A consent that it ever rested on and that was withdrawn after its newest terms were approved."""
    approved = max((renewal.log_index for renewal in version.renewals), default=version.log_index)
    statement = select(ConsentWithdrawalRow.consent_id).where(
        ConsentWithdrawalRow.consent_id.in_(version.every_consent), ConsentWithdrawalRow.log_index > approved
    )
    return session.scalars(statement.limit(1)).first()
