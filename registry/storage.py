"""Blobs: bytes by digest, in a folder or an object store (obstore). Content is hashed again whenever it is read.

Everything is sealed before it comes here (`registry.sealing`), so a digest here is of ciphertext. Who may read a blob is
not known here; that is `registry.blobs` and `registry.versions.sealed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from sdk.errors import ConfigurationError, DigestMismatch, NotFound, ServiceError, ServiceUnavailable
from sdk.local_files import make_folder, replace_file
from sdk.spec.digest import Digest, verify_digest


class BlobStore(Protocol):
    """A content-addressed store."""

    def put(self, content: bytes) -> Digest:
        """Store `content` and return its digest. The same content again changes nothing."""

    def get(self, digest: Digest) -> bytes:
        """The bytes with `digest`.

        Raises:
            NotFound: nothing is stored under it.
            ServiceError: what is stored no longer has this digest.
        """

    def has(self, digest: Digest) -> bool:
        """Whether something is stored under `digest`."""

    def size(self, digest: Digest) -> int:
        """Bytes stored under `digest`, without reading them. Raises `NotFound`."""

    def remove(self, digest: Digest) -> None:
        """Let go of what is stored under `digest`; nothing happens when that is nothing."""


class ObjectBlobStore:
    """A `BlobStore` over any obstore store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        try:
            self._store.put(_path(digest), content)
        except (OSError, BaseError) as exc:
            raise ServiceUnavailable(f"blob {digest} could not be stored: {type(exc).__name__}; try again") from exc
        return digest

    def get(self, digest: Digest) -> bytes:
        try:
            content = bytes(self._store.get(_path(digest)).bytes())
        except FileNotFoundError as exc:
            raise _missing(digest) from exc
        except (OSError, BaseError) as exc:
            raise ServiceUnavailable(f"blob {digest} could not be read: {type(exc).__name__}; try again") from exc
        try:
            return verify_digest(content, digest, "stored blob")
        except DigestMismatch as exc:
            raise ServiceError(f"blob {digest} is damaged in the store; upload it again or restore a backup") from exc

    def has(self, digest: Digest) -> bool:
        try:
            self.size(digest)
        except NotFound:
            return False
        return True

    def size(self, digest: Digest) -> int:
        try:
            return int(self._store.head(_path(digest))["size"])
        except FileNotFoundError as exc:
            raise _missing(digest) from exc
        except (OSError, BaseError) as exc:
            raise ServiceUnavailable(f"blob {digest} could not be looked up: {type(exc).__name__}") from exc

    def remove(self, digest: Digest) -> None:
        try:
            self._store.delete(_path(digest))
        except FileNotFoundError:
            return
        except (OSError, BaseError) as exc:
            raise ServiceUnavailable(f"blob {digest} could not be removed: {type(exc).__name__}; try again") from exc


class FolderBlobStore(ObjectBlobStore):
    """A `BlobStore` in a folder of this machine: what is put is on disk when that returns."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder, mode=0o755)
        super().__init__(LocalStore(folder))
        self._folder = folder

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        path = self._folder / _path(digest)
        try:
            make_folder(path.parent, mode=0o755)
            replace_file(path, content, mode=0o644, wait_for_rename=True)
        except OSError as exc:
            raise ServiceUnavailable(f"blob {digest} could not be stored: {exc.strerror}; try again") from exc
        return digest


def open_blob_store(location: str) -> BlobStore:
    """The store at a folder path or an object-store URL (`s3://`, `gs://`, `az://`, `memory:///`).

    Raises:
        ConfigurationError: the location cannot be used; it is named.
    """
    try:
        if location.startswith("memory://"):
            return ObjectBlobStore(MemoryStore())
        if "://" in location:
            return ObjectBlobStore(from_url(location))
        return FolderBlobStore(Path(location))
    except (OSError, ValueError, BaseError) as exc:
        raise ConfigurationError(f"blobs cannot be kept at {location}: {exc}") from exc


def _path(digest: Digest) -> str:
    return f"sha256/{digest.hex[:2]}/{digest.hex}"


def _missing(digest: Digest) -> NotFound:
    return NotFound(f"no blob {digest} is stored; restore it from a backup, or upload the content again")
