"""Receipts in a file: C2SP tlog-proof, https://c2sp.org/tlog-proof. Files end in `.tlog-proof`.

The text is `c2sp.org/tlog-proof@v1`, the entry behind `extra`, its index, the inclusion proof one hash a line, an empty
line, and the signed checkpoint as it came. `extra` proves nothing by itself: the entry is the one that was logged
because its hash leads to the signed root. Verifying is `sdk.receipt`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from sdk.errors import FormatError
from sdk.spec.canonical import decode_base64
from sdk.spec.log_entry import MAX_ENTRY_BYTES, LogReceipt
from sdk.spec.merkle import HASH_BYTES

MEDIA_TYPE: Final = "text/plain; charset=utf-8"
MAX_PROOF_BYTES: Final = 131_072  # bytes; an entry in base64, 63 hashes and a note fit
_HEADER: Final = "c2sp.org/tlog-proof@v1"
_MAX_HASHES: Final = 63
_HEAD = re.compile(r"extra (?P<extra>[A-Za-z0-9+/]+={0,2})\nindex (?P<index>0|[1-9][0-9]{0,17})\n")


@dataclass(frozen=True, kw_only=True)
class LogProof:
    """An entry, its place, and what leads from it to a signed checkpoint; unverified."""

    entry: bytes
    index: int
    inclusion: tuple[bytes, ...]
    checkpoint: bytes  # the signed note


def proof_of_receipt(receipt: LogReceipt) -> LogProof:
    """The same proof, as it is kept in a file."""
    note = receipt.checkpoint.encode()
    return LogProof(entry=receipt.entry, index=receipt.index, inclusion=receipt.inclusion, checkpoint=note)


def encode_log_proof(proof: LogProof) -> bytes:
    """The file's content."""
    lines = [_HEADER, f"extra {_text(proof.entry)}", f"index {proof.index}", *map(_text, proof.inclusion), ""]
    return "".join(f"{line}\n" for line in lines).encode() + proof.checkpoint


def parse_log_proof(content: bytes) -> LogProof:
    """Read a proof that carries its entry. Raises `FormatError`; verifies nothing."""
    if len(content) > MAX_PROOF_BYTES:
        raise FormatError(f"the proof has {len(content)} bytes; at most {MAX_PROOF_BYTES} are read")
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        raise FormatError("the proof is not UTF-8") from exc
    header, _, rest = text.partition("\n")
    if header != _HEADER:
        raise FormatError(f"expected a proof that begins with {_HEADER}, found {header[:60]!r}")
    head = _HEAD.match(rest)
    if not head:
        raise FormatError("the proof should go on with 'extra', the entry in base64, and 'index', its place in the log")
    hashes, separator, note = rest[head.end() - 1 :].partition("\n\n")  # from the newline on: there may be no hash
    if not separator or not note:
        raise FormatError("the proof ends before its checkpoint: it was truncated")
    entry = decode_base64(head["extra"], "the proof's entry")
    if len(entry) > MAX_ENTRY_BYTES:
        raise FormatError(f"the proof's entry has {len(entry)} bytes; an entry has at most {MAX_ENTRY_BYTES}")
    return LogProof(
        entry=entry, index=int(head["index"]), inclusion=_parse_hashes(hashes[1:]), checkpoint=note.encode()
    )


def _parse_hashes(text: str) -> tuple[bytes, ...]:
    hashes = tuple(decode_base64(line, "a hash of the proof") for line in text.split("\n")) if text else ()
    if len(hashes) > _MAX_HASHES or any(len(each) != HASH_BYTES for each in hashes):
        raise FormatError(f"the proof should have at most {_MAX_HASHES} hashes of {HASH_BYTES} bytes, one a line")
    return hashes


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
