"""/v1/consents and /v1/licences. Withdrawal is served by `versions.routes`, because it suspends versions."""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.consent import service
from registry.log.service import receipt
from registry.runtime import RuntimeDep
from sdk.spec.api import RecordAccepted
from sdk.spec.ids import RecordId
from sdk.spec.terms import ConsentEvidence, ConsentRecord, LicenceEvidence, LicenceGrant

router = APIRouter(prefix="/v1", tags=["consent"])


@router.post("/consents", status_code=201)
def give_consent(record: ConsentRecord, runtime: RuntimeDep, caller: CallerDep) -> RecordAccepted:
    """Record an act of consent."""
    with runtime.transaction(caller.tenant) as session:
        given = service.give_consent(session, runtime, caller, record)
    return RecordAccepted(id=given.id, digest=given.digest, receipt=receipt(runtime, given.log_index))


@router.get("/consents/{consent}")
def get_consent(consent: RecordId, runtime: RuntimeDep, caller: CallerDep) -> ConsentEvidence:
    """A consent with its status now."""
    with runtime.transaction(caller.tenant) as session:
        return service.consents_of(session, caller.tenant, [consent], runtime.clock())[0]


@router.post("/licences", status_code=201)
def grant_licence(grant: LicenceGrant, runtime: RuntimeDep, caller: CallerDep) -> RecordAccepted:
    """Record a licence."""
    with runtime.transaction(caller.tenant) as session:
        granted = service.grant_licence(session, runtime, caller, grant)
    return RecordAccepted(id=granted.id, digest=granted.digest, receipt=receipt(runtime, granted.log_index))


@router.get("/licences/{licence}")
def get_licence(licence: RecordId, runtime: RuntimeDep, caller: CallerDep) -> LicenceEvidence:
    """A licence."""
    with runtime.transaction(caller.tenant) as session:
        return service.licences_of(session, caller.tenant, [licence])[0]
