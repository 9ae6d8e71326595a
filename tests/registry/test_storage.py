"""Blobs are what their digest says, in every kind of store, or an error says which one is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry.storage import BlobStore, open_blob_store
from registry.vault import FolderKeyVault, KeyName
from sdk.errors import ConfigurationError, NotFound, ServiceError, ServiceUnavailable
from sdk.spec.digest import Digest

CONTENT = b"a blob"
DIGEST = Digest.of(CONTENT)


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return open_blob_store(str(tmp_path / "blobs") if request.param == "folder" else "memory:///")


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that are flushed to disk, in order."""
    seen: list[Path] = []
    flush = os.fsync

    def note(handle: int) -> None:
        seen.append(Path(f"/proc/self/fd/{handle}").readlink())
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    return seen


class TestBlobStore:
    def test_gives_back_what_was_put(self, store: BlobStore) -> None:
        assert store.put(CONTENT) == DIGEST
        assert (store.get(DIGEST), store.has(DIGEST), store.size(DIGEST)) == (CONTENT, True, len(CONTENT))

    def test_takes_the_same_twice_and_nothing_at_all(self, store: BlobStore) -> None:
        assert store.put(CONTENT) == store.put(CONTENT)
        assert store.get(store.put(b"")) == b""

    def test_lets_go_of_what_is_removed(self, store: BlobStore) -> None:
        store.remove(store.put(CONTENT))
        assert not store.has(DIGEST)
        store.remove(DIGEST)

    def test_says_what_is_missing(self, store: BlobStore) -> None:
        assert not store.has(DIGEST)
        for look in (store.get, store.size):
            with pytest.raises(NotFound, match=DIGEST):
                look(DIGEST)


class TestFolder:
    def test_damage_is_noticed_when_read_and_mended_by_a_new_upload(self, tmp_path: Path) -> None:
        store = open_blob_store(str(tmp_path))
        store.put(CONTENT)
        (stored,) = [path for path in tmp_path.rglob("*") if path.is_file()]
        stored.write_bytes(b"a blot")
        with pytest.raises(ServiceError, match="damaged"):
            store.get(DIGEST)
        store.put(CONTENT)
        assert store.get(DIGEST) == CONTENT

    def test_what_is_put_is_on_disk_with_every_folder_that_was_made_for_it(
        self, tmp_path: Path, flushed: list[Path]
    ) -> None:
        blobs = tmp_path / "blobs"
        open_blob_store(str(blobs)).put(CONTENT)
        folder = blobs / "sha256" / DIGEST.hex[:2]
        *made, content, named = flushed
        assert made == [tmp_path, blobs, blobs / "sha256"]
        assert (content.parent, named) == (folder, folder)  # the content, before it has its name

    def test_a_full_or_broken_disk_is_unavailable(self, tmp_path: Path) -> None:
        store = open_blob_store(str(tmp_path / "blobs"))
        (tmp_path / "blobs" / "sha256").write_bytes(b"a file where a folder should be")
        with pytest.raises(ServiceUnavailable):
            store.put(CONTENT)

    def test_a_place_that_cannot_hold_blobs_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match="file/blobs"):
            open_blob_store(str(tmp_path / "file" / "blobs"))

    def test_an_unknown_kind_of_store_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match="nowhere://x"):
            open_blob_store("nowhere://x")


def test_the_first_key_of_a_folder_of_the_vault_is_on_disk_with_it(tmp_path: Path, flushed: list[Path]) -> None:
    FolderKeyVault(tmp_path / "vault").put(KeyName("ab" * 16), b"wrapped")
    folder = tmp_path / "vault" / "ab"
    assert flushed == [tmp_path, tmp_path / "vault", folder / ("ab" * 16), folder]
