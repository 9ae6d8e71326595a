"""What `imprimatur registry seal` does: a workspace from before artefacts were sealed gets its key, and what lies open is sealed.

It can be stopped at any moment and run again: plaintext goes only after all that was made of it is committed. It works
on all tenants, as the database's owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import LargeBinary, select, text, type_coerce
from sqlalchemy.orm import Session

from registry import blobs
from registry.blobs import BlobHolderRow, BlobUploadRow, Discarded
from registry.cli.serving import open_runtime, workspace_settings
from registry.cli.supervisor import database_alone
from registry.cli.workspace import Workspace
from registry.consent.tables import ConsentRow
from registry.personal import is_sealed, seal_record, sealed_by
from registry.runtime import Runtime
from registry.sealing import write_key_file
from registry.settings import is_uri
from registry.vault import vault_name
from registry.versions import sealed
from registry.versions.tables import VersionKeyRow, VersionRow
from sdk.errors import ConfigurationError
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import parse_manifest


def seal_workspace(workspace: Workspace) -> int:
    """Make the key-encryption key if there is none, and seal what lies open; returns how many versions were sealed.

    Raises:
        ConfigurationError: the workspace is up, or its key-encryption key is lost: a new one would open nothing.
    """
    with database_alone(workspace):
        settings = workspace_settings(workspace)
        key = settings.key_encryption_key
        made = not is_uri(key) and not Path(key).exists()
        if made:
            write_key_file(Path(key))
        with open_runtime(settings) as runtime:
            if made and _has_wrapped_keys(runtime):
                Path(key).unlink()
                raise ConfigurationError(
                    f"data keys are wrapped already, so {key} is lost; put it back from its backup"
                )
            return seal_what_lies_open(runtime)


def seal_what_lies_open(runtime: Runtime) -> int:
    """Seal versions without a data key, and documents; returns how many versions. Raises `NotFound` for a lost file."""
    with sealed_by(runtime.key_wrapper), runtime.sessions.begin() as session:
        rows = session.scalars(select(VersionRow)).all()
        files = {artefact.digest for row in rows for artefact in parse_manifest(row.manifest).artefacts}
        count = sum(_seal_version(session, runtime, row) for row in rows)
        held, discarded = _seal_documents(session, runtime, files)
        _vault_keys(session, runtime, {(row.concept_id, row.number): row.manifest_digest for row in rows})
        _seal_records(session, runtime)
    blobs.destroy_keys(runtime, discarded)
    for digest in files | held:
        runtime.blobs.remove(digest)  # under its plaintext's digest nothing lies but plaintext
    return count


def _seal_version(session: Session, runtime: Runtime, row: VersionRow) -> bool:
    if session.get(VersionKeyRow, (row.concept_id, row.number)):
        return False
    manifest = parse_manifest(row.manifest)
    contents = {artefact.digest: runtime.blobs.get(artefact.digest) for artefact in manifest.artefacts}
    files = sealed.seal_files(runtime.key_wrapper, runtime.blobs, manifest, contents)
    sealed.keep(session, row.concept_id, row.number, files)
    return True


def _seal_documents(
    session: Session, runtime: Runtime, files: set[Digest]
) -> tuple[set[Digest], tuple[Discarded, ...]]:
    """Seal what people brought and no version has; returns the digests of everything ever brought, and what was replaced."""
    discarded: tuple[Discarded, ...] = ()
    held = session.execute(select(BlobHolderRow.tenant, BlobHolderRow.digest)).all()
    for tenant, digest in held:
        if digest not in files and runtime.blobs.has(digest):
            content = runtime.blobs.get(digest)
            discarded += blobs.seal_upload(session, runtime, tenant, digest, content, document=True)
    return {digest for _, digest in held}, discarded


def _vault_keys(session: Session, runtime: Runtime, manifests: Mapping[tuple[ConceptId, int], Digest]) -> None:
    """Give data keys from before there was a vault their half in it."""
    for key in session.scalars(select(VersionKeyRow)):
        if vault_name(key.wrapped_key) is None:
            sealed.rewrap(session, runtime, key, manifests[key.concept_id, key.number])
    for upload in session.scalars(select(BlobUploadRow)):
        if vault_name(upload.wrapped_key) is None:
            blobs.rewrap(session, runtime, upload)


def _seal_records(session: Session, runtime: Runtime) -> None:
    """Seal records of consents from before they were; evidence stays what it was, so its lock is lifted for this alone."""
    raw = type_coerce(ConsentRow.content, LargeBinary).label("stored")
    opened = [
        (consent, stored) for consent, stored in session.execute(select(ConsentRow.id, raw)) if not is_sealed(stored)
    ]
    if not opened:
        return
    session.execute(text("ALTER TABLE consents DISABLE TRIGGER insert_only"))
    for consent, stored in opened:
        content = seal_record(stored, runtime.key_wrapper)
        session.execute(
            text("UPDATE consents SET content = :content WHERE id = :id"), {"content": content, "id": consent}
        )
    session.execute(text("ALTER TABLE consents ENABLE TRIGGER insert_only"))


def _has_wrapped_keys(runtime: Runtime) -> bool:
    with runtime.sessions.begin() as session:
        rows = (session.scalar(select(column).limit(1)) for column in (VersionKeyRow.number, BlobUploadRow.digest))
        return any(row is not None for row in rows)
