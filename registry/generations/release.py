"""Handing artefacts to whoever draws a permitted generation, and nobody else.

An embedding or mask is handed out only:
1. to the executor of the grant: the application that was permitted the generation, or the rendering service that it
   named in its intent, and then not to the application,
2. before the grant expires and before the result is recorded,
3. if it is of a version in that grant, and that version is still approved, or opened by break-glass.
Embeddings are handed out with the grant where the executor asks for them then (`releases_of`), and one by one after it.
The first time each is handed out is logged, and committed before the bytes leave. Until then they are ciphertext
(`registry.versions.sealed`): there is no way to them around these checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations import records
from registry.generations.records import Attempt
from registry.generations.tables import ArtefactReleaseRow, GenerationResultRow, GenerationRow
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import sealed
from registry.versions import service as versions
from registry.versions.lifecycle import USABLE
from registry.versions.sealed import SealedArtefact
from registry.versions.version import Version
from sdk.errors import Conflict, InputError, NotApproved, NotFound, PermissionDenied
from sdk.spec.api import GenerationIntent
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType, LogEntry
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole

_NOTE: Final = text("""
    INSERT INTO artefact_releases (generation_id, digest, released_at, log_index)
    SELECT :generation, digest, :at, log_index
      FROM unnest(CAST(:digests AS varchar[]), CAST(:indices AS bigint[])) AS released (digest, log_index)
""")
RELEASED = (ArtefactRole.EMBEDDING, ArtefactRole.MASK)


def release(session: Session, runtime: Runtime, caller: Caller, generation: RecordId, digest: Digest) -> SealedArtefact:
    """The artefact, once the caller may have it and that is logged; to be opened after the transaction.

    Raises:
        NotFound: no such generation that the caller draws, or no such artefact of its versions (1, 3).
        PermissionDenied, Conflict: the grant has expired, or the result is recorded (2).
        NotApproved: the version is no longer approved (3).
    """
    row = records.hold_to_draw(session, caller, generation)
    _require_open(session, runtime, row)
    version, artefact = _version_with(records.versions_of(session, row), digest, generation)
    (version,) = versions.hold(session, [version])
    status = version.status(versions.terms_of(session, version, runtime.clock()))
    if status not in USABLE:
        raise NotApproved(f"{version.name} became {status.value} after {generation} was permitted; compose again")
    found = sealed.find(session, runtime, version, artefact)
    if session.get(ArtefactReleaseRow, (generation, digest)) is None:
        leaving = Release(version=version, artefact=found)
        entry = leaving.entry(caller, generation, runtime.clock())
        note_releases(session, generation, [leaving], log.append_entries(session, [entry]), entry.at)
    return found


def release_again(session: Session, runtime: Runtime, caller: Caller, attempt: Attempt) -> tuple[SealedArtefact, ...]:
    """The embeddings of a permit that was recorded before, like `release`."""
    row = records.hold_to_draw(session, caller, attempt.id)
    wanted = [artefact.digest for version in records.versions_of(session, row) for artefact in _embeddings(version)]
    return tuple(release(session, runtime, caller, attempt.id, digest) for digest in wanted)


@dataclass(frozen=True, kw_only=True)
class Release:
    """An artefact that leaves with a permit."""

    version: Version
    artefact: SealedArtefact

    def entry(self, caller: Caller, generation: RecordId, at: datetime) -> LogEntry:
        """What the log says of it."""
        return LogEntry(
            event=AuditEventType.ARTEFACT_RELEASED,
            at=at,
            actor=caller.principal,
            subject=generation,
            evidence={"artefact": self.artefact.digest, "manifest": self.version.digest},
            facts={"version": self.version.name},
        )


def releases_of(session: Session, runtime: Runtime, held: Sequence[Version]) -> tuple[Release, ...]:
    """The embeddings of versions that are about to be permitted, to be noted with the permit."""
    return tuple(
        Release(version=version, artefact=sealed.find(session, runtime, version, artefact))
        for version in held
        for artefact in _embeddings(version)
    )


def note_releases(
    session: Session, generation: RecordId, releases: Sequence[Release], indices: Sequence[int], at: datetime
) -> None:
    """Note what was handed out, where the log has it."""
    if releases:
        digests = [each.artefact.digest for each in releases]
        session.execute(_NOTE, {"generation": generation, "at": at, "digests": digests, "indices": list(indices)})


def require_drawn_by(caller: Caller, intent: GenerationIntent) -> None:
    """Return if the caller is to draw what it asks for (rule 1). Raises `InputError`."""
    if intent.executor not in (None, caller.principal):
        raise InputError(f"{intent.executor} is to draw, so the embeddings are not for {caller.principal}; do not ask")


def _embeddings(version: Version) -> tuple[ArtefactDescriptor, ...]:
    return version.manifest.by_role(ArtefactRole.EMBEDDING)


def _require_open(session: Session, runtime: Runtime, row: GenerationRow) -> None:
    if session.get(GenerationResultRow, row.id):
        raise Conflict(f"{row.id} is finished, its result is recorded; record a new intent to compose again")
    if row.expires_at is None or runtime.clock() >= row.expires_at:
        raise PermissionDenied(f"the grant of {row.id} expired at {row.expires_at}; record a new intent")


def _version_with(
    named: tuple[Version, ...], digest: Digest, generation: RecordId
) -> tuple[Version, ArtefactDescriptor]:
    for version in named:
        for artefact in version.manifest.artefacts:
            if artefact.digest == digest and artefact.role in RELEASED:
                return version, artefact
    raise NotFound(f"{generation} has no embedding or mask {digest}; fetch what the manifests of its versions name")
