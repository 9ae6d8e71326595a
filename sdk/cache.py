"""What a client remembers of each registry: of its log the first and the newest checkpoint, of a status list the newest time.

Without this memory a client could be shown an older or another history and not notice. Artefacts are deliberately
not kept here: they are fetched anew under every grant, so that a revocation ends their use. Rules, kept by `LogWatch`:
1. A checkpoint is remembered only after the log's signature was verified.
2. It is only ever replaced by a larger one that was proven consistent with it.
3. A smaller one (a slower answer) must be proven to be its beginning.
4. A status list is never older than one that was seen (`StatusWatch`).
5. Comparing and replacing happen while nobody else may (`alone`), so that no thread or process undoes what another saw.
   A proof is fetched before that; whoever finds another checkpoint then than the one compared with compares again.
6. What is kept and cannot be read is an error, never a fresh start: forgetting is what a rollback needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from sdk.errors import (
    ConfigurationError,
    FormatError,
    LogForked,
    ProofInvalid,
    SignatureInvalid,
    StatusListInvalid,
)
from sdk.local_files import keep_file, locked, read_file
from sdk.signing.trust import TrustRoot, verify_checkpoint
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import ConsistencyProof
from sdk.spec.merkle import verify_consistency
from sdk.spec.status_list import StatusList

ConsistencySource = Callable[[int, int], Sequence[bytes]]
"""Fetches the consistency proof from an old size to a new one; the proof is not believed."""

Which = Literal["first", "newest"]
"""Of the two notes that are remembered of a log, one."""


class Memory(Protocol):
    """Keeps things that several threads and processes share."""

    def alone(self) -> AbstractContextManager[None]:
        """While it is held nobody else remembers anything. Not to be asked for by its holder."""


class LogMemory(Memory, Protocol):
    """Remembers signed checkpoint notes, by log origin."""

    def first(self, origin: str) -> bytes | None:
        """The first note ever remembered."""

    def newest(self, origin: str) -> bytes | None:
        """The newest note remembered."""

    def remember(self, origin: str, note: bytes) -> None:
        """Keep a verified note as the newest."""

    def place(self, origin: str, which: Which) -> str:
        """Where that note is kept, for messages."""


class StatusMemory(Memory, Protocol):
    """Remembers from when the newest list of each id is."""

    def newest_status(self, list_id: str) -> datetime | None:
        """The newest moment remembered."""

    def remember_status(self, list_id: str, at: datetime) -> None:
        """Keep a verified list's moment as the newest."""


class RegistryMemory(LogMemory, StatusMemory, Protocol):
    """Everything that a client remembers of registries."""


class FileLogMemory:
    """A `RegistryMemory` in a folder: two files a log, one a status list, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def alone(self) -> AbstractContextManager[None]:
        return locked(self._folder)

    def first(self, origin: str) -> bytes | None:
        return read_file(self._path(origin, "first"))

    def newest(self, origin: str) -> bytes | None:
        return read_file(self._path(origin, "newest"))

    def remember(self, origin: str, note: bytes) -> None:
        if self.first(origin) is None:
            keep_file(self._path(origin, "first"), note)
        keep_file(self._path(origin, "newest"), note)

    def place(self, origin: str, which: Which) -> str:
        return str(self._path(origin, which))

    def newest_status(self, list_id: str) -> datetime | None:
        path = self._path(list_id, "status")
        content = read_file(path)
        try:
            return None if content is None else _parse_moment(content)
        except ValueError as exc:
            raise ConfigurationError(f"{path} holds no moment; remove it, and what it protected from is gone") from exc

    def remember_status(self, list_id: str, at: datetime) -> None:
        keep_file(self._path(list_id, "status"), at.isoformat().encode())

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
        return None if newest is None else self._remembered(newest, "newest").tree_size

    @property
    def notes(self) -> tuple[bytes, ...]:
        """The first and the newest note remembered, verified; the same one may be both. Raises like `see`."""
        origin = self._trust.log_origin
        notes: dict[Which, bytes | None] = {"first": self._memory.first(origin), "newest": self._memory.newest(origin)}
        found = {which: note for which, note in notes.items() if note is not None}
        for which, note in found.items():
            self._remembered(note, which)
        return tuple(found.values())

    def see(self, note: bytes, growth: ConsistencyProof | None = None) -> LogCheckpoint:
        """Verify `note` against the log's key and against the newest checkpoint remembered; remember it.

        `growth` came with the note; it is used if it is the proof that is needed, which otherwise is asked for.

        Raises:
            LogForked: the two contradict each other.
            SignatureInvalid: the trusted log did not sign it, or what is remembered.
            ConfigurationError: what is remembered cannot be read, or nothing can be remembered.
        """
        seen = verify_checkpoint(note, self._trust)
        prove = _proofs(growth, self._prove)
        while True:
            newest = self._memory.newest(seen.origin)
            if newest is not None and not self._grown(self._remembered(newest, "newest"), seen, prove):
                return seen
            with self._memory.alone():
                if self._memory.newest(seen.origin) == newest:
                    self._memory.remember(seen.origin, note)
                    return seen

    def _grown(self, known: LogCheckpoint, seen: LogCheckpoint, prove: ConsistencySource) -> bool:
        """Whether `seen` is the larger of the two, which are consistent. Raises `LogForked`."""
        old, new = sorted((known, seen), key=lambda checkpoint: checkpoint.tree_size)
        require_consistent(old, new, prove)
        return seen.tree_size > known.tree_size

    def _remembered(self, note: bytes, which: Which) -> LogCheckpoint:
        origin = self._trust.log_origin
        place = self._memory.place(origin, which)
        mend = f"restore {place} from a copy; if there is none, remove it, and what it protected from is gone"
        try:
            return verify_checkpoint(note, self._trust)
        except (FormatError, ProofInvalid) as exc:
            raise ConfigurationError(f"{place} holds no checkpoint of the log {origin}: {exc.message}; {mend}") from exc
        except SignatureInvalid as exc:
            raise SignatureInvalid(
                f"{place} holds a checkpoint of the log {origin} that does not verify: {exc.message}; "
                f"ask whoever runs the registry whether the log's key was replaced; if not, {mend}"
            ) from exc


class StatusWatch:
    """Holds status lists to what was seen before: a revocation that was told is never untold by an older list."""

    def __init__(self, memory: StatusMemory) -> None:
        self._memory = memory

    def see(self, status: StatusList) -> None:
        """Remember a verified list. Raises `StatusListInvalid` when a newer one was seen."""
        with self._memory.alone():
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


def _parse_moment(content: bytes) -> datetime:
    at = datetime.fromisoformat(content.decode())
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return at
