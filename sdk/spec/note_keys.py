"""Verifier keys of signed notes: name, algorithm and Ed25519 key on one line. https://c2sp.org/signed-note

`name+hash+base64(algorithm || key)` is what Go's `sumdb/note` and the tlog tools read. A log signs with algorithm 1,
a witness cosigns with algorithm 4 (https://c2sp.org/tlog-cosignature); nothing else is accepted here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sdk.errors import FormatError
from sdk.spec.canonical import decode_base64

_ED25519_BYTES: Final = 32
_KEY = re.compile(r"(?P<name>[^\s+]{1,200})\+(?P<hash>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")


class NoteAlgorithm(IntEnum):
    """The first byte of a verifier key: what its signatures are over."""

    LOG = 1  # Ed25519 over the text
    COSIGNATURE = 4  # Ed25519 over cosignature/v1, a time and the text


@dataclass(frozen=True, kw_only=True)
class NoteKey:
    """Whose signature lines are meant, and the 32 raw bytes they verify with."""

    name: str
    algorithm: NoteAlgorithm
    public_key: bytes

    @property
    def hash(self) -> bytes:
        """The 4-byte key id that signature lines begin with."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.algorithm]) + self.public_key).decode()
        return f"{self.name}+{self.hash.hex()}+{encoded}"


def parse_note_key(text: str) -> NoteKey:
    """Read `name+hash+key`. Raises `FormatError`, also when the hash is not the key's."""
    match = _KEY.fullmatch(text)
    if not match:
        raise FormatError(f"expected a verifier key such as 'example.com/log+c8ae7bb5+AZ3G...', found {text!r}")
    content = decode_base64(match["key"], "verifier key")
    if len(content) != 1 + _ED25519_BYTES or content[0] not in set(NoteAlgorithm):
        raise FormatError(f"the verifier key of {match['name']} is no Ed25519 key of a log (1) or witness (4)")
    key = NoteKey(name=match["name"], algorithm=NoteAlgorithm(content[0]), public_key=content[1:])
    if key.hash.hex() != match["hash"]:
        raise FormatError(f"the verifier key of {key.name} has hash {key.hash.hex()}, not {match['hash']}")
    return key
