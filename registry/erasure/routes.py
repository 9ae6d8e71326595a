"""/v1/erasures: erase a person, and read the certificates."""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.erasure import service
from registry.log.proofs import receipt
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from sdk.spec.envelope import parse_envelope
from sdk.spec.erasure import ErasureAccepted, ErasureList, ErasureRequest, ErasureView, TrainingErased
from sdk.spec.ids import RecordId

router = APIRouter(prefix="/v1/erasures", tags=["erasure"])


@router.post("", status_code=201)
def erase_subject(body: ErasureRequest, runtime: RuntimeDep, caller: CallerDep) -> ErasureAccepted:
    """Destroy the keys of everything about a person, for good."""
    with runtime.transaction(caller.tenant) as session:
        erased = service.erase(session, runtime, caller, body.subject)
    service.destroy(runtime, erased)
    proof = receipt(runtime, erased.log_index)
    return ErasureAccepted(id=erased.id, certificate=parse_envelope(erased.certificate), receipt=proof)


@router.post("/{erasure}/training")
def confirm_training_erased(
    erasure: RecordId, body: TrainingErased, runtime: RuntimeDep, caller: CallerDep
) -> ErasureView:
    """Say that pictures, files and captions of these training jobs are destroyed; it is logged."""
    with runtime.transaction(caller.tenant) as session:
        return service.confirm_training(session, runtime, caller, erasure, body.jobs)


@router.get("")
def list_erasures(runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> ErasureList:
    """The signed certificates of the caller's tenant, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        return service.certificates(session, caller, page)
