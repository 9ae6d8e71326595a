"""A witness of logs: cosigns a checkpoint only if it extends the one before. C2SP tlog-witness, add-checkpoint.

For every log it keeps the newest checkpoint that it cosigned, one file a log. Rules:
1. The file is written, and flushed to disk, before the cosignature is given away.
2. Comparing with the file and replacing it happen under one lock, and one process holds the folder (`locked`).
3. A file that cannot be read is an error, never a fresh start: forgetting is what a rollback needs.
HTTP and the command are `sdk.cli.witness`.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sdk.errors import ConfigurationError, FormatError, ProofInvalid, SignatureInvalid
from sdk.local_files import replace_file
from sdk.signing.cosign import sign_cosignature, verify_note
from sdk.signing.signer import Signer
from sdk.spec.canonical import decode_base64
from sdk.spec.log_checkpoint import LogCheckpoint, encode_note_signatures, parse_signed_checkpoint
from sdk.spec.log_policy import LogPolicy
from sdk.spec.merkle import HASH_BYTES, verify_consistency

MAX_REQUEST_BYTES: Final = 32_768  # bytes; 63 hashes and a note
_MAX_HASHES: Final = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")
_SIZE_TYPE: Final = "text/x.tlog.size"
_TEXT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class WitnessAnswer:
    """What a witness answers: an HTTP status, a media type and a body."""

    status: int
    body: bytes
    media_type: str = _TEXT_TYPE


@dataclass(frozen=True, kw_only=True)
class AddCheckpoint:
    """A request to cosign `note`, which extends the checkpoint of `old_size` entries by `proof`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


class Witness:
    """Cosigns for the logs of `policy`, in the name `name`; what it has seen is in `folder`."""

    def __init__(
        self, *, name: str, signer: Signer, policy: LogPolicy, folder: Path, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._signer = signer
        self._policy = LogPolicy(logs=policy.logs)
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Answer a request; refusals are answers too."""
        try:
            request = parse_add_checkpoint(body)
            origin = parse_signed_checkpoint(request.note).checkpoint.origin
        except FormatError as exc:
            return _refusal(400, exc.message)
        if origin not in {party.key.name for party in self._policy.logs}:
            return _refusal(404, f"this witness does not know the log {origin}")
        try:
            checkpoint = verify_note(request.note, self._policy).checkpoint
        except SignatureInvalid as exc:
            return _refusal(403, exc.message)
        if request.old_size > checkpoint.tree_size:
            return _refusal(400, f"a log never shrinks: from {request.old_size} to {checkpoint.tree_size} entries")
        with self._lock:
            return self._cosign(request, checkpoint)

    def _cosign(self, request: AddCheckpoint, checkpoint: LogCheckpoint) -> WitnessAnswer:
        seen = self.newest(checkpoint.origin)
        seen_size = seen.tree_size if seen else 0
        if request.old_size != seen_size:
            return WitnessAnswer(status=409, body=b"%d\n" % seen_size, media_type=_SIZE_TYPE)
        if seen and seen.tree_size == checkpoint.tree_size and seen.root_hash != checkpoint.root_hash:
            return WitnessAnswer(status=409, body=b"%d\n" % seen_size, media_type=_SIZE_TYPE)  # a fork
        try:
            _require_extension(seen, checkpoint, request.proof)
        except ProofInvalid as exc:
            return _refusal(422, exc.message)
        replace_file(self._path(checkpoint.origin), request.note, wait_for_rename=True)
        line = sign_cosignature(checkpoint, name=self._name, signer=self._signer, at=self._clock())
        return WitnessAnswer(status=200, body=encode_note_signatures([line]))

    def newest(self, origin: str) -> LogCheckpoint | None:
        """The checkpoint of this log that was cosigned last. Raises `ConfigurationError` when it cannot be read."""
        path = self._path(origin)
        try:
            note = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigurationError(f"what was seen of {origin} cannot be read at {path}: {exc.strerror}") from exc
        try:
            return verify_note(note, self._policy).checkpoint
        except (FormatError, ProofInvalid, SignatureInvalid) as exc:
            raise ConfigurationError(
                f"{path} no longer holds what was seen of {origin}: {exc.message}; restore it, never remove it"
            ) from exc

    def _path(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.note"


def encode_add_checkpoint(request: AddCheckpoint) -> bytes:
    """The body of a request."""
    hashes = "".join(base64.b64encode(each).decode() + "\n" for each in request.proof)
    return f"old {request.old_size}\n{hashes}\n".encode() + request.note


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Read the body of a request. Raises `FormatError`."""
    try:
        head, separator, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as exc:
        raise FormatError("the request is not UTF-8") from exc
    first, *lines = head.split("\n")
    match = _OLD.fullmatch(first)
    if not separator or not match:
        raise FormatError("expected 'old', a size, the hashes of a proof, an empty line and a checkpoint")
    proof = tuple(decode_base64(line, "a hash of the proof") for line in lines)
    if len(proof) > _MAX_HASHES or any(len(each) != HASH_BYTES for each in proof):
        raise FormatError(f"a consistency proof has at most {_MAX_HASHES} hashes of {HASH_BYTES} bytes")
    return AddCheckpoint(old_size=int(match[1]), proof=proof, note=note.encode())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a witness alone. Raises `ConfigurationError` when another process does."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise ConfigurationError(f"another witness serves {folder}; two of them could cosign a fork") from exc
        yield


def _require_extension(seen: LogCheckpoint | None, checkpoint: LogCheckpoint, proof: tuple[bytes, ...]) -> None:
    if seen is None:
        if proof:
            raise ProofInvalid("the proof from an empty log is empty")
        return
    verify_consistency(
        old_size=seen.tree_size,
        new_size=checkpoint.tree_size,
        old_root=seen.root_hash,
        new_root=checkpoint.root_hash,
        proof=proof,
    )


def _refusal(status: int, message: str) -> WitnessAnswer:
    return WitnessAnswer(status=status, body=f"{message}\n".encode())
