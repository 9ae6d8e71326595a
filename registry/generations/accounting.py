"""/v1/royalties: what is due, and what that is computed from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from registry.auth import CallerDep
from registry.generations import ledger, royalties
from registry.runtime import RuntimeDep
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport

router = APIRouter(prefix="/v1/royalties", tags=["royalties"])


@router.get("")
def report_royalties(query: Annotated[RoyaltyQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> RoyaltyReport:
    """What is due under licences with royalty terms, by period."""
    with runtime.transaction(caller.tenant) as session:
        return royalties.report(session, runtime, caller, query)


@router.get("/ledger")
def export_ledger(query: Annotated[LedgerQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> LedgerPage:
    """Receipts of use with their proofs, a page at a time."""
    with runtime.transaction(caller.tenant) as session:
        return ledger.page(session, runtime, caller, query)
