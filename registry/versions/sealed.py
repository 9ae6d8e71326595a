"""The files of a version, sealed under its own data key from the moment it is a version; and opening them again.

Who may have an embedding or mask is `registry.generations.release`, who may look at pictures and reports is
`registry.versions.preview`; both come here with the version that they have checked. What is sealed is bound to the
version's manifest and to the file's name, role and digest: no file opens in another's place, or another version's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from registry import blobs
from registry.auth import Caller
from registry.runtime import Runtime
from registry.sealing import KeyWrapper, WrappedKey, new_key, seal, unseal
from registry.storage import BlobStore
from registry.versions.tables import SealedArtefactRow, VersionKeyRow
from registry.versions.version import Version
from sdk.errors import ServiceError
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.embedding_file import verify_embedding
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactDescriptor, ArtefactName, ArtefactRole, ConceptManifest

_PLACE: Final = text("""
    SELECT wrapped_key, wrapped_by, stored
      FROM version_keys JOIN sealed_artefacts USING (concept_id, number)
     WHERE concept_id = :concept AND number = :number AND name = :name
""")


@dataclass(frozen=True, kw_only=True)
class SealedFiles:
    """The files of a version that is about to be stored: its wrapped data key, and where each file's ciphertext is."""

    key: WrappedKey
    stored: Mapping[ArtefactName, Digest]


@dataclass(frozen=True, kw_only=True)
class SealedArtefact:
    """One file that somebody may have: `open` gives its bytes, after what was decided is committed."""

    digest: Digest
    stored: Digest
    about: bytes
    data_key: bytes = field(repr=False)

    def open(self, store: BlobStore) -> bytes:
        """The file's bytes. Raises `ServiceError` when what is stored does not open, or is something else."""
        content = unseal(store.get(self.stored), self.data_key, self.about)
        return verify_digest(content, self.digest, "artefact as it was sealed")


def seal_uploads(session: Session, runtime: Runtime, caller: Caller, manifest: ConceptManifest) -> SealedFiles:
    """Seal the uploads that `manifest` names under a new data key; `keep` them once the version is stored.

    A crash before that leaves ciphertext whose key is nowhere.

    Raises:
        NotFound: an upload is not there, or is there no more.
        FormatError: an embedding is not the one that the manifest describes.
    """
    contents = {
        artefact.digest: blobs.open_upload(session, runtime, caller.tenant, artefact.digest)
        for artefact in manifest.artefacts
    }
    for artefact in manifest.by_role(ArtefactRole.EMBEDDING):
        verify_embedding(contents[artefact.digest], manifest.embedding, manifest.concept)
    return seal_files(runtime.key_wrapper, runtime.blobs, manifest, contents)


def seal_files(
    wrapper: KeyWrapper, store: BlobStore, manifest: ConceptManifest, contents: Mapping[Digest, bytes]
) -> SealedFiles:
    """Seal the `contents` of `manifest`'s artefacts, by digest, under a new data key."""
    data_key = new_key()
    stored = {
        artefact.name: store.put(seal(contents[artefact.digest], data_key, _about(manifest.digest, artefact)))
        for artefact in manifest.artefacts
    }
    return SealedFiles(key=wrapper.wrap(data_key, _about_key(manifest.digest)), stored=stored)


def keep(session: Session, concept: ConceptId, number: int, files: SealedFiles) -> None:
    """Store the key and the places of a version's files, in the transaction that stores the version."""
    session.add(
        VersionKeyRow(concept_id=concept, number=number, wrapped_key=files.key.wrapped, wrapped_by=files.key.wrapped_by)
    )
    for name, stored in files.stored.items():
        session.add(SealedArtefactRow(concept_id=concept, number=number, name=name, stored=stored))
    session.flush()


def rewrap(session: Session, runtime: Runtime, key: VersionKeyRow, manifest: Digest) -> None:
    """Wrap a version's data key anew, under the key-encryption key and with the vault of today."""
    data_key = runtime.key_wrapper.unwrap(
        WrappedKey(wrapped=key.wrapped_key, wrapped_by=key.wrapped_by), _about_key(manifest)
    )
    wrapped = runtime.key_wrapper.wrap(data_key, _about_key(manifest))
    key.wrapped_key, key.wrapped_by = wrapped.wrapped, wrapped.wrapped_by
    session.flush()


def find(session: Session, runtime: Runtime, version: Version, artefact: ArtefactDescriptor) -> SealedArtefact:
    """A file of `version`, ready to be opened. Raises `ServiceError` when the version has no data key."""
    named = {"concept": version.concept, "number": version.number, "name": artefact.name}
    found = session.execute(_PLACE, named).one_or_none()
    if found is None:
        raise ServiceError(
            f"the files of {version.name} have no data key here; a version from before artefacts were sealed gets one "
            "with 'imprimatur registry seal'"
        )
    wrapped = WrappedKey(wrapped=found.wrapped_key, wrapped_by=found.wrapped_by)
    return SealedArtefact(
        digest=artefact.digest,
        stored=Digest(found.stored),
        about=_about(version.digest, artefact),
        data_key=runtime.key_wrapper.unwrap(wrapped, _about_key(version.digest)),
    )


def _about(manifest: Digest, artefact: ArtefactDescriptor) -> bytes:
    return f"artefact\n{manifest}\n{artefact.name}\n{artefact.role.value}\n{artefact.digest}".encode()


def _about_key(manifest: Digest) -> bytes:
    return f"data key of version\n{manifest}".encode()
