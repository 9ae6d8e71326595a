"""Log checkpoints: C2SP tlog-checkpoint in a C2SP signed note. https://c2sp.org/tlog-checkpoint

The text is `origin LF size LF base64(root) LF`, a blank line, then one line a signature:
em dash, space, key name, space, base64(4-byte key id || Ed25519 signature over the text).
Bytes are verified as they came. Signing lives in `sdk.signing`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sdk.errors import FormatError
from sdk.spec.canonical import decode_base64
from sdk.spec.merkle import HASH_BYTES
from sdk.spec.note_keys import NoteAlgorithm, NoteKey

MAX_NOTE_BYTES: Final = 16_384  # bytes
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<blob>[A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, kw_only=True)
class LogCheckpoint:
    """Size and root of a log at one moment. `origin` names the log for ever."""

    origin: str
    tree_size: int
    root_hash: bytes

    @property
    def text(self) -> bytes:
        """The signed text, final newline included."""
        root = base64.b64encode(self.root_hash).decode()
        return f"{self.origin}\n{self.tree_size}\n{root}\n".encode()


@dataclass(frozen=True, kw_only=True)
class NoteSignature:
    """One signature line: who says so, with which key, and the signature bytes."""

    key_name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint with the signature lines that came with it; unverified."""

    checkpoint: LogCheckpoint
    signatures: tuple[NoteSignature, ...]


def log_key(origin: str, public_key: bytes) -> NoteKey:
    """The key of a log, 32 raw Ed25519 bytes; as text it is the verifier key that tlog tools read."""
    return NoteKey(name=origin, algorithm=NoteAlgorithm.LOG, public_key=public_key)


def encode_signed_checkpoint(signed: SignedCheckpoint) -> bytes:
    """The note: text, blank line, signature lines."""
    return signed.checkpoint.text + b"\n" + encode_note_signatures(signed.signatures)


def encode_note_signatures(signatures: Iterable[NoteSignature]) -> bytes:
    """Signature lines, each with its newline."""
    lines = (f"— {line.key_name} {base64.b64encode(line.key_hash + line.signature).decode()}\n" for line in signatures)
    return "".join(lines).encode()


def parse_signed_checkpoint(note: bytes) -> SignedCheckpoint:
    """Read a signed note that holds a checkpoint. Raises `FormatError`; verifies no signature."""
    if len(note) > MAX_NOTE_BYTES:
        raise FormatError(f"checkpoint note has {len(note)} bytes; at most {MAX_NOTE_BYTES} are read")
    try:
        text, separator, tail = note.decode().rpartition("\n\n")
    except UnicodeDecodeError as exc:
        raise FormatError("checkpoint note is not UTF-8") from exc
    if not separator or not tail.endswith("\n"):
        raise FormatError("checkpoint note has no signature block after a blank line")
    checkpoint = _parse_text(text)
    return SignedCheckpoint(checkpoint=checkpoint, signatures=parse_note_signatures(tail))


def parse_note_signatures(text: str) -> tuple[NoteSignature, ...]:
    """Read signature lines. Raises `FormatError`."""
    return tuple(_parse_signature(line) for line in text.removesuffix("\n").split("\n"))


def _parse_text(text: str) -> LogCheckpoint:
    lines = text.split("\n")
    if len(lines) < 3 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
        raise FormatError("checkpoint text is not origin, tree size and root hash on three lines")
    root = decode_base64(lines[2], "checkpoint root hash")
    if len(root) != HASH_BYTES:
        raise FormatError(f"checkpoint root hash has {len(root)} bytes; SHA-256 has {HASH_BYTES}")
    if len(lines) > 3:
        raise FormatError("checkpoint extension lines are not accepted: their meaning is unknown here")
    return LogCheckpoint(origin=lines[0], tree_size=int(lines[1]), root_hash=root)


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise FormatError(f"not a note signature line: {line!r}")
    blob = decode_base64(match["blob"], "note signature")
    if len(blob) <= 4:
        raise FormatError("note signature is too short to hold a key hash and a signature")
    return NoteSignature(key_name=match["name"], key_hash=blob[:4], signature=blob[4:])
