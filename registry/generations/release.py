"""Handing artefacts to the application of a permitted generation, and nobody else.

An embedding or mask is handed out only:
1. to the application that was permitted the generation,
2. before the grant expires and before the result is recorded,
3. if it is of a version in that grant, and that version is still approved.
The first time each is handed out is logged, and committed before the bytes leave.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations import service
from registry.generations.tables import ArtefactReleaseRow, GenerationResultRow, GenerationRow
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service as versions
from registry.versions.version import Version
from sdk.errors import Conflict, NotApproved, NotFound, PermissionDenied
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ArtefactRole

RELEASED = (ArtefactRole.EMBEDDING, ArtefactRole.MASK)


def release(session: Session, runtime: Runtime, caller: Caller, generation: RecordId, digest: Digest) -> None:
    """Return once the caller may have the artefact and that is logged.

    Raises:
        NotFound: no such generation of the caller, or no such artefact of its versions (1, 3).
        PermissionDenied, Conflict: the grant has expired, or the result is recorded (2).
        NotApproved: the version is no longer approved (3).
    """
    row = service.hold(session, caller, generation)
    _require_open(session, runtime, row)
    version = _version_with(service.versions_of(session, row), digest, generation)
    (version,) = versions.hold(session, [version])
    status = version.status(versions.terms_of(session, version, runtime.clock()))
    if status is not VersionStatus.APPROVED:
        raise NotApproved(f"{version.name} became {status.value} after {generation} was permitted; compose again")
    if session.get(ArtefactReleaseRow, (generation, digest)) is None:
        _note(session, runtime, caller, generation, version, digest)


def _require_open(session: Session, runtime: Runtime, row: GenerationRow) -> None:
    if session.get(GenerationResultRow, row.id):
        raise Conflict(f"{row.id} is finished, its result is recorded; record a new intent to compose again")
    if row.expires_at is None or runtime.clock() >= row.expires_at:
        raise PermissionDenied(f"the grant of {row.id} expired at {row.expires_at}; record a new intent")


def _version_with(named: tuple[Version, ...], digest: Digest, generation: RecordId) -> Version:
    for version in named:
        if any(a.digest == digest and a.role in RELEASED for a in version.manifest.artefacts):
            return version
    raise NotFound(f"{generation} has no embedding or mask {digest}; fetch what the manifests of its versions name")


def _note(
    session: Session, runtime: Runtime, caller: Caller, generation: RecordId, version: Version, digest: Digest
) -> None:
    index = log.append(
        session,
        runtime,
        event=AuditEventType.ARTEFACT_RELEASED,
        actor=caller.principal,
        subject=generation,
        evidence={"artefact": digest, "manifest": version.digest},
        facts={"version": version.name},
    )
    session.add(
        ArtefactReleaseRow(generation_id=generation, digest=digest, released_at=runtime.clock(), log_index=index)
    )
    session.flush()
