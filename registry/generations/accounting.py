"""/v1/royalties: what is due, and what that is computed from. /v1/denials, /v1/trainings/denied: what was refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from registry.auth import AnyCallerDep, CallerDep
from registry.generations import denials, ledger, royalties, trainings
from registry.runtime import RuntimeDep
from sdk.spec.denials import DenialPage, DenialQuery, TrainingDenied, WantedTraining
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport

router = APIRouter(prefix="/v1", tags=["accounting"])


@router.get("/royalties")
def report_royalties(query: Annotated[RoyaltyQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> RoyaltyReport:
    """What is due under licences with royalty terms, by period."""
    with runtime.transaction(caller.tenant) as session:
        return royalties.report(session, runtime, caller, query)


@router.get("/royalties/ledger")
def export_ledger(query: Annotated[LedgerQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> LedgerPage:
    """Receipts of use with their proofs, a page at a time."""
    with runtime.transaction(caller.tenant) as session:
        return ledger.page(session, runtime, caller, query)


@router.get("/denials")
def list_denials(query: Annotated[DenialQuery, Query()], runtime: RuntimeDep, caller: AnyCallerDep) -> DenialPage:
    """Refused attempts, newest first: the tenant's, or those with the concepts of the subject who calls."""
    with runtime.transaction(caller.tenant) as session:
        return denials.page(session, runtime, caller, query)


@router.post("/trainings/denied", status_code=201)
def report_denied_training(wanted: WantedTraining, runtime: RuntimeDep, caller: CallerDep) -> TrainingDenied:
    """A training that policy refuses the caller, as the trainer tells; a training that it permits is refused here."""
    with runtime.transaction(caller.tenant) as session:
        return trainings.note_denied(session, runtime, caller, wanted)
