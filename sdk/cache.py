"""What a client remembers of each log: the first and the newest checkpoint it was shown.

Without this memory a client could be shown an older or another history and not notice. Artefacts are deliberately
not kept here: they are fetched anew under every grant, so that a revocation ends their use. Rules, kept by `LogWatch`:
1. A checkpoint is remembered only after the log's signature was verified.
2. It is only ever replaced by a larger one that was proven consistent with it.
3. A smaller one (a slower answer) must be proven to be its beginning.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from sdk.errors import ConfigurationError, LogForked, ProofInvalid
from sdk.signing.trust import TrustRoot, verify_checkpoint
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.merkle import verify_consistency

ConsistencySource = Callable[[int, int], Sequence[bytes]]
"""Fetches the consistency proof from an old size to a new one; the proof is not believed."""


class LogMemory(Protocol):
    """Remembers signed checkpoint notes, by log origin."""

    def first(self, origin: str) -> bytes | None:
        """The first note ever remembered."""

    def newest(self, origin: str) -> bytes | None:
        """The newest note remembered."""

    def remember(self, origin: str, note: bytes) -> None:
        """Keep a verified note as the newest."""


class MemoryLogMemory:
    """A `LogMemory` that lasts as long as the process."""

    def __init__(self) -> None:
        self._notes: dict[str, list[bytes]] = {}

    def first(self, origin: str) -> bytes | None:
        return self._notes.get(origin, [None])[0]

    def newest(self, origin: str) -> bytes | None:
        return self._notes.get(origin, [None])[-1]

    def remember(self, origin: str, note: bytes) -> None:
        self._notes.setdefault(origin, []).append(note)


class FileLogMemory:
    """A `LogMemory` in a folder: two files a log, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def first(self, origin: str) -> bytes | None:
        return _read(self._path(origin, "first"))

    def newest(self, origin: str) -> bytes | None:
        return _read(self._path(origin, "newest"))

    def remember(self, origin: str, note: bytes) -> None:
        if self.first(origin) is None:
            _write(self._path(origin, "first"), note)
        _write(self._path(origin, "newest"), note)

    def _path(self, origin: str, which: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.{which}.note"


class LogWatch:
    """Holds a log to what it said before."""

    def __init__(self, memory: LogMemory, trust: TrustRoot, prove: ConsistencySource) -> None:
        self._memory = memory
        self._trust = trust
        self._prove = prove

    def see(self, note: bytes) -> LogCheckpoint:
        """Verify `note` against the log's key and against the newest checkpoint remembered; remember it.

        Raises:
            LogForked: the two contradict each other.
            SignatureInvalid: the trusted log did not sign it.
        """
        seen = verify_checkpoint(note, self._trust)
        newest = self._memory.newest(seen.origin)
        if newest is None:
            self._memory.remember(seen.origin, note)
            return seen
        known = verify_checkpoint(newest, self._trust)
        old, new = sorted((known, seen), key=lambda checkpoint: checkpoint.tree_size)
        require_consistent(old, new, self._prove)
        if seen.tree_size > known.tree_size:
            self._memory.remember(seen.origin, note)
        return seen


def require_consistent(old: LogCheckpoint, new: LogCheckpoint, prove: ConsistencySource) -> None:
    """Check that `new` extends `old`. Raises `LogForked` when it does not, or no proof says so."""
    trivial = old.tree_size in (0, new.tree_size)
    try:
        verify_consistency(
            old_size=old.tree_size,
            new_size=new.tree_size,
            old_root=old.root_hash,
            new_root=new.root_hash,
            proof=() if trivial else prove(old.tree_size, new.tree_size),
        )
    except ProofInvalid as exc:
        raise LogForked(
            f"the log {new.origin} at {new.tree_size} entries does not extend what it showed at {old.tree_size}: "
            "its history was rewritten; use nothing from it, keep both notes and tell the auditor"
        ) from exc


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigurationError(f"the local store cannot be read at {path}: {exc.strerror}") from exc


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a reader meets the old file or the new one, never half of one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).replace(path)
    except OSError as exc:
        raise ConfigurationError(f"the local store cannot be written at {path}: {exc.strerror}") from exc
