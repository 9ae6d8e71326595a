"""Looking at a version: its masks, samples, training pictures and reports, never its embedding. The first look is logged.

An application may look at the samples of a version that it may compose with: their Content Credentials go into what it composes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.blobs import READERS
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import sealed, service
from registry.versions.lifecycle import USABLE
from registry.versions.sealed import SealedArtefact
from registry.versions.tables import VersionPreviewRow
from registry.versions.version import Version
from sdk.errors import NotFound
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole
from sdk.spec.policy import Role

SHOWN: Final = (ArtefactRole.MASK, ArtefactRole.SAMPLE, ArtefactRole.TRAINING_PICTURE, ArtefactRole.REPORT)


def preview(
    session: Session, runtime: Runtime, caller: Caller, version: Version, digest: Digest
) -> tuple[ArtefactDescriptor, SealedArtefact]:
    """A file that the caller may look at, and its description; to be opened after the transaction.

    Raises:
        PermissionDenied: the caller does not look at versions, or not at this file.
        NotFound: the version has no such file, or it is the embedding, which leaves only under a grant.
    """
    caller.require(*READERS, Role.APP)
    artefact = _shown(version, digest)
    if artefact.role is not ArtefactRole.SAMPLE or not _is_usable(session, runtime, version):
        caller.require(*READERS)
    found = sealed.find(session, runtime, version, artefact)
    _note(session, runtime, caller, version)
    return artefact, found


def _is_usable(session: Session, runtime: Runtime, version: Version) -> bool:
    return version.status(service.terms_of(session, version, runtime.clock())) in USABLE


def _shown(version: Version, digest: Digest) -> ArtefactDescriptor:
    for artefact in version.manifest.artefacts:
        if artefact.digest == digest and artefact.role in SHOWN:
            return artefact
    raise NotFound(f"{version.name} has no picture or report {digest} to look at; its manifest lists what it has")


def _note(session: Session, runtime: Runtime, caller: Caller, version: Version) -> None:
    """Log the first look of each reader; one page shows many files."""
    first = insert(VersionPreviewRow).values(
        concept_id=version.concept, number=version.number, reader=caller.principal, first_at=runtime.clock()
    )
    if session.scalar(first.on_conflict_do_nothing().returning(VersionPreviewRow.number)) is None:
        return
    log.append(
        session,
        runtime,
        event=AuditEventType.VERSION_PREVIEWED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest},
    )
