"""/v1/royalties: what royalties are computed from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from registry.auth import CallerDep
from registry.generations import ledger
from registry.runtime import RuntimeDep
from sdk.spec.ledger import LedgerPage, LedgerQuery

router = APIRouter(prefix="/v1/royalties", tags=["royalties"])


@router.get("/ledger")
def export_ledger(query: Annotated[LedgerQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> LedgerPage:
    """Receipts of use with their proofs, a page at a time."""
    with runtime.transaction(caller.tenant) as session:
        return ledger.page(session, runtime, caller, query)
