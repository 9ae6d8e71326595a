"""A whole audit log in memory, signed and provable like the registry's. A `LogSource` for tests."""

from __future__ import annotations

from datetime import datetime

from support.merkle_oracle import consistency_proof, inclusion_proof

from sdk.signing.signer import Signer
from sdk.signing.trust import sign_checkpoint
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, LogReceipt, encode_log_entry
from sdk.spec.log_tiles import TILE_WIDTH, encode_entry_bundle
from sdk.spec.merkle import leaf_hash, root_of


class MemoryLog:
    """Appends entries; answers what the log routes answer."""

    def __init__(self, origin: str, signer: Signer, at: datetime) -> None:
        self.origin = origin
        self.signer = signer
        self.at = at
        self.contents: list[bytes] = []

    @property
    def leaves(self) -> list[bytes]:
        return [leaf_hash(content) for content in self.contents]

    def append(
        self,
        event: AuditEventType,
        subject: str,
        *,
        actor: str = "demo/somebody",
        evidence: dict[str, Digest] | None = None,
        facts: dict[str, str] | None = None,
    ) -> int:
        entry = LogEntry(
            event=event,
            at=self.at,
            actor=PrincipalId(actor),
            subject=subject,
            evidence=evidence or {},
            facts=facts or {},
        )
        self.contents.append(encode_log_entry(entry))
        return len(self.contents) - 1

    def checkpoint(self, size: int | None = None) -> LogCheckpoint:
        size = len(self.contents) if size is None else size
        return LogCheckpoint(origin=self.origin, tree_size=size, root_hash=root_of(self.leaves[:size]))

    def note(self, size: int | None = None) -> bytes:
        return sign_checkpoint(self.checkpoint(size), self.signer)

    def receipt(self, index: int, size: int | None = None) -> LogReceipt:
        size = len(self.contents) if size is None else size
        return LogReceipt(
            entry=self.contents[index],
            index=index,
            inclusion=tuple(inclusion_proof(index, self.leaves[:size])),
            checkpoint=self.note(size).decode(),
        )

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        return consistency_proof(old_size, self.leaves[:new_size])

    # The read interface of tlog-tiles, as `sdk.client.Client` has it.

    def log_checkpoint(self) -> bytes:
        return self.note()

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        return encode_entry_bundle(self.contents[index * TILE_WIDTH : index * TILE_WIDTH + width])

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        span = TILE_WIDTH**level
        hashes = [
            root_of(self.leaves[i : i + span]) for i in range(0, len(self.leaves) - len(self.leaves) % span, span)
        ]
        return b"".join(hashes[index * TILE_WIDTH : index * TILE_WIDTH + width])
