"""Uploads: whole and right, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sdk.errors import DigestMismatch, PayloadTooLarge
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName
from trainer.jobs.pictures import PictureStore

DEMO = TenantName("demo")


async def blocks(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


def receive(store: PictureStore, digest: Digest, *contents: bytes) -> bool:
    return asyncio.run(store.receive(DEMO, digest, blocks(*contents)))


class TestReceive:
    @pytest.fixture
    def store(self, tmp_path: Path) -> PictureStore:
        return PictureStore(root=tmp_path, max_bytes=10)

    def test_keeps_the_bytes_under_their_digest(self, store: PictureStore) -> None:
        digest = Digest.of(b"12345")
        assert not store.has(DEMO, digest)
        assert receive(store, digest, b"123", b"45") is True
        assert store.path(DEMO, digest).read_bytes() == b"12345"

    def test_says_when_they_were_there_already(self, store: PictureStore) -> None:
        digest = Digest.of(b"12345")
        receive(store, digest, b"12345")
        assert receive(store, digest, b"12345") is False

    def test_takes_exactly_the_limit(self, store: PictureStore) -> None:
        assert receive(store, Digest.of(b"x" * 10), b"x" * 10)

    def test_stops_above_the_limit_and_keeps_nothing(self, store: PictureStore) -> None:
        with pytest.raises(PayloadTooLarge, match="at most 10 bytes"):
            receive(store, Digest.of(b"x" * 11), b"x" * 10, b"x")
        assert [path for path in store.root.rglob("*") if path.is_file()] == []

    def test_refuses_other_bytes_than_were_announced(self, store: PictureStore) -> None:
        with pytest.raises(DigestMismatch, match="was announced"):
            receive(store, Digest.of(b"one"), b"two")
        assert [path for path in store.root.rglob("*") if path.is_file()] == []

    def test_a_wrong_second_upload_does_not_touch_the_first(self, store: PictureStore) -> None:
        digest = Digest.of(b"one")
        receive(store, digest, b"one")
        with pytest.raises(DigestMismatch):
            receive(store, digest, b"two")
        assert store.path(DEMO, digest).read_bytes() == b"one"
