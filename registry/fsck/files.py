"""Data keys open, ciphertext opens to what its digest says, and what was erased has no key any more."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import blobs
from registry.blobs import BlobUploadRow
from registry.erasure.tables import ErasedKeyRow
from registry.runtime import Runtime
from registry.vault import vault_name
from registry.versions import sealed, service
from registry.versions.tables import SealedArtefactRow, VersionKeyRow, VersionRow
from sdk.errors import ImprimaturError
from sdk.spec.manifest import parse_manifest


def faults_of_files(session: Session, runtime: Runtime) -> Iterator[str]:
    """What is wrong with the files of versions, uploads and documents, and with what was erased."""
    erased = set(session.scalars(select(ErasedKeyRow.name)))
    yield from (
        f"erased_keys: key {name} is in the vault still, or again"
        for name in sorted(erased)
        if runtime.key_wrapper.has(name)
    )
    for row in session.scalars(select(VersionRow)).all():
        name = f"{row.concept_id}@{row.number}"
        key = session.get(VersionKeyRow, (row.concept_id, row.number))
        if key is None:
            yield f"version_keys: {name} has no data key"
        elif vault_name(key.wrapped_key) not in erased:
            yield from (f"{name}: {fault}" for fault in _faults_of_version(session, runtime, row))
    for upload in session.scalars(select(BlobUploadRow)).all():
        if vault_name(upload.wrapped_key) in erased:
            continue
        try:
            blobs.open_upload(session, runtime, upload.tenant, upload.digest, hold=False)
        except ImprimaturError as exc:
            yield f"blob_uploads: {upload.digest} of {upload.tenant}: {exc.message}"


def _faults_of_version(session: Session, runtime: Runtime, row: VersionRow) -> Iterator[str]:
    try:
        artefacts = {artefact.name: artefact for artefact in parse_manifest(row.manifest).artefacts}
        version = service.load(session, row.tenant, row.concept_id, row.number)
    except ImprimaturError as exc:
        yield f"it cannot be read: {exc.message}"
        return
    same = (SealedArtefactRow.concept_id == row.concept_id, SealedArtefactRow.number == row.number)
    if set(session.scalars(select(SealedArtefactRow.name).where(*same))) != set(artefacts):
        yield "its stored files are not those of its manifest"
    for name, artefact in artefacts.items():
        try:
            content = sealed.find(session, runtime, version, artefact).open(runtime.blobs)
        except ImprimaturError as exc:
            yield f"{name}: {exc.message}"
            continue
        if len(content) != artefact.size:
            yield f"{name}: it has {len(content)} bytes, its manifest says {artefact.size}"
