"""Uploaded pictures: bounded, checked against their digest while they stream in, content-addressed on disk.

A tenant sees only what it uploaded, so that knowing a digest is not a way to train from somebody else's picture. What
the bytes show is not looked at here: `trainer.data` decodes them, defensively, when a job runs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sdk.errors import DigestMismatch, PayloadTooLarge
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName


@dataclass(frozen=True, kw_only=True)
class PictureStore:
    """A folder of pictures: `<root>/<tenant>/<hex>`, each written whole or not at all."""

    root: Path
    max_bytes: int

    def path(self, tenant: TenantName, digest: Digest) -> Path:
        """Where the picture lies, or would lie."""
        return self.root / tenant / digest.hex

    def has(self, tenant: TenantName, digest: Digest) -> bool:
        return self.path(tenant, digest).is_file()

    async def receive(self, tenant: TenantName, digest: Digest, blocks: AsyncIterator[bytes]) -> bool:
        """Store the streamed bytes; False when they were there already.

        Raises:
            PayloadTooLarge: over `max_bytes`; the rest is not read.
            DigestMismatch: the bytes are not what `digest` names; nothing is kept.
        """
        target = self.path(tenant, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".upload-", dir=target.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                found = await self._copy(blocks, file)
                file.flush()
                os.fsync(file.fileno())
            _require(found, digest)
            created = not target.exists()
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return created

    async def _copy(self, blocks: AsyncIterator[bytes], file: BinaryIO) -> Digest:
        hasher, size = hashlib.sha256(), 0
        async for block in blocks:
            size += len(block)
            if size > self.max_bytes:
                raise PayloadTooLarge(f"a picture may have at most {self.max_bytes} bytes; save it smaller")
            hasher.update(block)
            file.write(block)
        return Digest("sha256:" + hasher.hexdigest())


def _require(found: Digest, announced: Digest) -> None:
    if found != announced:
        raise DigestMismatch(f"picture {announced} was announced, but the bytes have {found}; send it again")
