"""What an erasure needs of versions: those that rest on a consent, the keys of their files, and their end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.log import service as log
from registry.runtime import Runtime
from registry.sealing import WrappedKey
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import SealedArtefactRow, VersionConsentRow, VersionKeyRow
from registry.versions.version import Version
from sdk.errors import Conflict
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.log_entry import AuditEventType

_ENDED_BY: Final[Mapping[VersionStatus, tuple[VersionEvent, AuditEventType]]] = {
    VersionStatus.SUBMITTED: (VersionEvent.REJECT, AuditEventType.VERSION_REJECTED),
    VersionStatus.IN_REVIEW: (VersionEvent.REJECT, AuditEventType.VERSION_REJECTED),
    VersionStatus.APPROVED: (VersionEvent.REVOKE, AuditEventType.VERSION_REVOKED),
    VersionStatus.SUSPENDED: (VersionEvent.REVOKE, AuditEventType.VERSION_REVOKED),
}


def claim_resting(session: Session, tenant: TenantName, consents: Collection[RecordId]) -> tuple[Version, ...]:
    """The versions that rest on one of these consents, whatever their status, held until the transaction ends."""
    statement = (
        select(VersionConsentRow.concept_id, VersionConsentRow.number)
        .where(VersionConsentRow.consent_id.in_(consents))
        .distinct()
        .order_by(VersionConsentRow.concept_id, VersionConsentRow.number)
    )
    named = session.execute(statement).all()
    return service.claim(session, [service.load(session, tenant, concept, number) for concept, number in named])


def key_of(session: Session, version: Version) -> WrappedKey:
    """The wrapped data key of the version's files. Raises `Conflict` when they are not sealed."""
    row = session.get(VersionKeyRow, (version.concept, version.number))
    if row is None:
        raise Conflict(f"the files of {version.name} have no data key here; run 'imprimatur registry seal' first")
    return WrappedKey(wrapped=row.wrapped_key, wrapped_by=row.wrapped_by)


def stored_of(session: Session, version: Version) -> tuple[Digest, ...]:
    """Where the ciphertext of the version's files is."""
    same = (SealedArtefactRow.concept_id == version.concept, SealedArtefactRow.number == version.number)
    return tuple(session.scalars(select(SealedArtefactRow.stored).where(*same)))


def end(session: Session, runtime: Runtime, caller: Caller, version: Version, erasure: RecordId) -> None:
    """End a version whose files are about to be erased, and log it; nothing when it has ended, or never began."""
    now = service.load(session, version.tenant, version.concept, version.number)
    if now.stored_status not in _ENDED_BY:
        return
    event, logged = _ENDED_BY[now.stored_status]
    service.move(session, runtime, now, event)
    log.append(
        session,
        runtime,
        event=logged,
        actor=caller.principal,
        subject=now.name,
        evidence={"manifest": now.digest},
        facts={"erasure": erasure},
    )
