"""Content addresses: `sha256:<hex>`, the only way content is named in this system."""

from __future__ import annotations

import hashlib
import re
from typing import Self

from sdk.errors import DigestMismatch
from sdk.spec.ids import PatternedText


class Digest(PatternedText):
    """Algorithm and value of a cryptographic hash, as OCI writes it."""

    pattern = re.compile(r"sha256:[0-9a-f]{64}")
    what = "a digest"
    example = "sha256:" + "0" * 64

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The digest of `content`."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        return self.removeprefix("sha256:")


def verify_digest(content: bytes, expected: Digest, what: str) -> bytes:
    """Return `content` if it has the digest `expected`.

    Raises:
        DigestMismatch: it has not; `what` names the thing in the message.
    """
    found = Digest.of(content)
    if found != expected:
        raise DigestMismatch(f"{what} should have digest {expected}, but the bytes have {found}; fetch it again")
    return content
