"""Calls about what use earns: the report, and the ledger of receipts that it can be computed from; refused attempts."""

from __future__ import annotations

from collections.abc import Iterator

from sdk.client.transport import Service
from sdk.spec.denials import DenialPage, DenialQuery, TrainingDenied, WantedTraining
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.log_checkpoint import parse_signed_checkpoint
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport


class AccountingCalls:
    """The registry's royalties; mixed into `Client`."""

    _registry: Service

    def royalties(self, query: RoyaltyQuery) -> RoyaltyReport:
        """GET /v1/royalties: what the registry says is due; `sdk.royalties` computes it from receipts."""
        asked = query.model_dump(mode="json", exclude_none=True)
        return self._registry.get("/v1/royalties", RoyaltyReport, asked)

    def list_denials(self, query: DenialQuery | None = None) -> DenialPage:
        """GET /v1/denials: refused attempts, newest first; go on with `cursor=page.next_cursor`."""
        asked = (query or DenialQuery()).model_dump(mode="json", exclude_none=True)
        return self._registry.get("/v1/denials", DenialPage, {name: str(value) for name, value in asked.items()})

    def report_denied_training(self, wanted: WantedTraining) -> TrainingDenied:
        """POST /v1/trainings/denied: a training that policy refuses the caller. Raises `Conflict` when it does not."""
        return self._registry.post("/v1/trainings/denied", wanted, TrainingDenied)

    def ledger_page(self, query: LedgerQuery) -> LedgerPage:
        """GET /v1/royalties/ledger: receipts with their proofs, to be verified with `sdk.royalties`."""
        asked = query.model_dump(mode="json", exclude_none=True)
        return self._registry.get("/v1/royalties/ledger", LedgerPage, {name: str(v) for name, v in asked.items()})

    def ledger_pages(self, query: LedgerQuery) -> Iterator[LedgerPage]:
        """All pages of a ledger from `query` on, under the checkpoint of the first."""
        page = self.ledger_page(query)
        yield page
        size = parse_signed_checkpoint(page.checkpoint.encode()).checkpoint.tree_size
        while page.next_after is not None:
            page = self.ledger_page(query.model_copy(update={"size": size, "after": page.next_after}))
            yield page
