"""What a client remembers of each registry: of its log the first and the newest checkpoint, of a status list the newest time.

Without this memory a client could be shown an older or another history and not notice. Artefacts are deliberately
not kept here: they are fetched anew under every grant, so that a revocation ends their use. Rules, kept by `LogWatch`:
1. A checkpoint is remembered only after the log's signature was verified.
2. It is only ever replaced by a larger one that was proven consistent with it.
3. A smaller one (a slower answer) must be proven to be its beginning.
4. A status list is never older than one that was seen (`StatusWatch`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sdk.errors import ConfigurationError, LogForked, ProofInvalid, StatusListInvalid
from sdk.signing.trust import TrustRoot, verify_checkpoint
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import ConsistencyProof
from sdk.spec.merkle import verify_consistency
from sdk.spec.status_list import StatusList

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


class StatusMemory(Protocol):
    """Remembers from when the newest list of each id is."""

    def newest_status(self, list_id: str) -> datetime | None:
        """The newest moment remembered."""

    def remember_status(self, list_id: str, at: datetime) -> None:
        """Keep a verified list's moment as the newest."""


class RegistryMemory(LogMemory, StatusMemory, Protocol):
    """Everything that a client remembers of registries."""


class MemoryLogMemory:
    """A `RegistryMemory` that lasts as long as the process."""

    def __init__(self) -> None:
        self._notes: dict[str, list[bytes]] = {}
        self._statuses: dict[str, datetime] = {}

    def newest_status(self, list_id: str) -> datetime | None:
        return self._statuses.get(list_id)

    def remember_status(self, list_id: str, at: datetime) -> None:
        self._statuses[list_id] = at

    def first(self, origin: str) -> bytes | None:
        return self._notes.get(origin, [None])[0]

    def newest(self, origin: str) -> bytes | None:
        return self._notes.get(origin, [None])[-1]

    def remember(self, origin: str, note: bytes) -> None:
        self._notes.setdefault(origin, []).append(note)


class FileLogMemory:
    """A `RegistryMemory` in a folder: two files a log, one a status list, replaced whole."""

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

    def newest_status(self, list_id: str) -> datetime | None:
        path = self._path(list_id, "status")
        content = _read(path)
        try:
            return None if content is None else datetime.fromisoformat(content.decode())
        except ValueError as exc:
            raise ConfigurationError(f"{path} holds no moment; remove it, and what it protected from is gone") from exc

    def remember_status(self, list_id: str, at: datetime) -> None:
        _write(self._path(list_id, "status"), at.isoformat().encode())

    def _path(self, name: str, which: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.{which}.note"


class LogWatch:
    """Holds a log to what it said before."""

    def __init__(self, memory: LogMemory, trust: TrustRoot, prove: ConsistencySource) -> None:
        self._memory = memory
        self._trust = trust
        self._prove = prove

    @property
    def size(self) -> int | None:
        """How long the log was when its newest checkpoint was remembered; none when none is."""
        newest = self._memory.newest(self._trust.log_origin)
        return verify_checkpoint(newest, self._trust).tree_size if newest else None

    def see(self, note: bytes, growth: ConsistencyProof | None = None) -> LogCheckpoint:
        """Verify `note` against the log's key and against the newest checkpoint remembered; remember it.

        `growth` came with the note; it is used if it is the proof that is needed, which otherwise is asked for.

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
        require_consistent(old, new, _proofs(growth, self._prove))
        if seen.tree_size > known.tree_size:
            self._memory.remember(seen.origin, note)
        return seen


class StatusWatch:
    """Holds status lists to what was seen before: a revocation that was told is never untold by an older list."""

    def __init__(self, memory: StatusMemory) -> None:
        self._memory = memory

    def see(self, status: StatusList) -> None:
        """Remember a verified list. Raises `StatusListInvalid` when a newer one was seen."""
        newest = self._memory.newest_status(status.id)
        if newest and status.valid_from < newest:
            raise StatusListInvalid(
                f"the status list {status.id} is from {status.valid_from}, but one from {newest} was seen: "
                "somebody shows an old one; ask the registry itself"
            )
        if newest != status.valid_from:
            self._memory.remember_status(status.id, status.valid_from)


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


def _proofs(told: ConsistencyProof | None, prove: ConsistencySource) -> ConsistencySource:
    def find(old: int, new: int) -> Sequence[bytes]:
        return told.hashes if told and (told.old_size, told.new_size) == (old, new) else prove(old, new)

    return find


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
