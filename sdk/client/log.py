"""Calls to the audit log (the C2SP tlog-tiles read API, and queries over entries), to the status lists beside it, and to the TUF repository."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.api import LogPage, LogQuery
from sdk.spec.ids import TenantName
from sdk.spec.log_entry import ConsistencyProof, LogReceipt
from sdk.spec.log_tiles import TILE_WIDTH, entries_path, tile_path


class LogCalls:
    """The registry's log; mixed into `Client`."""

    _registry: Service

    def log_checkpoint(self) -> bytes:
        """GET /v1/log/checkpoint: the newest signed note, to be verified before use."""
        return self._registry.get_bytes("/v1/log/checkpoint")

    def status_list(self, tenant: TenantName, number: int) -> bytes:
        """GET /v1/status/{tenant}/{number}: a signed status list, to be verified before use."""
        return self._registry.get_bytes(f"/v1/status/{tenant}/{number}")

    def log_witnessed_checkpoint(self) -> bytes:
        """GET /v1/log/checkpoint/witnessed: the newest note that a quorum of witnesses cosigned."""
        return self._registry.get_bytes("/v1/log/checkpoint/witnessed")

    def tuf_file(self, name: str) -> bytes:
        """GET /v1/tuf/{name}: a file of the TUF repository, `metadata/...` or `targets/...`; tuf verifies it."""
        return self._registry.get_bytes(f"/v1/tuf/{name}")

    def log_tile(self, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        """GET one tile of hashes, full or partial."""
        return self._registry.get_bytes(f"/v1/log/{tile_path(level, index, width=width)}")

    def log_entry_bundle(self, index: int, *, width: int = TILE_WIDTH) -> bytes:
        """GET one bundle of entries, full or partial; `parse_entry_bundle` reads it."""
        return self._registry.get_bytes(f"/v1/log/{entries_path(index, width=width)}")

    def log_entries(self, query: LogQuery | None = None) -> LogPage:
        """GET /v1/log/entries, filtered; go on with `after=page.next_after`."""
        params = (query or LogQuery()).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return self._registry.get("/v1/log/entries", LogPage, {name: str(value) for name, value in params.items()})

    def log_receipt(self, index: int) -> LogReceipt:
        """GET /v1/log/receipts/{index}."""
        return self._registry.get(f"/v1/log/receipts/{index}", LogReceipt)

    def log_proof(self, index: int) -> bytes:
        """GET /v1/log/proofs/{index}: the same as a `.tlog-proof`, under a witnessed checkpoint where there is one."""
        return self._registry.get_bytes(f"/v1/log/proofs/{index}")

    def log_consistency(self, old_size: int, new_size: int) -> ConsistencyProof:
        """GET /v1/log/consistency between two sizes."""
        params = {"old_size": str(old_size), "new_size": str(new_size)}
        return self._registry.get("/v1/log/consistency", ConsistencyProof, params)
