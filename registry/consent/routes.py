"""/v1/consents, /v1/licences and /v1/subjects. Withdrawal is served by `versions.routes`, because it suspends versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from registry.auth import AnyCallerDep, CallerDep
from registry.consent import evidence, query, service, subjects
from registry.consent.receipts import receipt_of
from registry.log.proofs import receipt
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from sdk.spec.api import Moment, RecordAccepted
from sdk.spec.consent_events import ConsentReceipt
from sdk.spec.digest import Digest
from sdk.spec.dpv import receipt_to_dpv
from sdk.spec.ids import RecordId
from sdk.spec.odrl import licence_to_odrl
from sdk.spec.subjects import (
    ConsentPage,
    ConsentQuery,
    SubjectAccepted,
    SubjectBinding,
    SubjectList,
    SubjectRelease,
)
from sdk.spec.terms import ConsentEvidence, ConsentRecord, LicenceEvidence, LicenceGrant


class JsonLdResponse(JSONResponse):
    """JSON-LD 1.1."""

    media_type = "application/ld+json"


router = APIRouter(prefix="/v1", tags=["consent"])


@router.post("/consents", status_code=201)
def give_consent(record: ConsentRecord, runtime: RuntimeDep, caller: CallerDep) -> RecordAccepted:
    """Record an act of consent."""
    with runtime.transaction(caller.tenant) as session:
        given = service.give_consent(session, runtime, caller, record)
    return RecordAccepted(id=given.id, digest=given.digest, receipt=receipt(runtime, given.log_index))


@router.get("/consents")
def list_consents(asked: Annotated[ConsentQuery, Query()], runtime: RuntimeDep, caller: AnyCallerDep) -> ConsentPage:
    """Consents with their status, now or at a moment: the tenant's, or those about the subject who calls."""
    with runtime.transaction(caller.tenant) as session:
        return query.page(session, runtime, caller, asked)


@router.get("/consents/{consent}")
def get_consent(
    consent: RecordId, runtime: RuntimeDep, caller: AnyCallerDep, as_of: Moment | None = None
) -> ConsentEvidence:
    """A consent with its status, now or at a moment; a subject finds those about them."""
    with runtime.transaction(caller.tenant) as session:
        if as_of:
            return query.one_as_of(session, runtime, caller, consent, as_of)
        return query.one(session, caller, consent, runtime.clock())


@router.get("/consents/{consent}/receipt")
def get_receipt(consent: RecordId, runtime: RuntimeDep, caller: AnyCallerDep, response: Response) -> ConsentReceipt:
    """The receipt for the person: the record, everything that happened to it, and the proofs; to be kept as a file."""
    response.headers["Content-Disposition"] = f'attachment; filename="{consent}.json"'
    with runtime.transaction(caller.tenant) as session:
        return receipt_of(session, runtime, caller, consent)


@router.get("/consents/{consent}/export", response_class=JsonLdResponse)
def export_consent(consent: RecordId, runtime: RuntimeDep, caller: AnyCallerDep) -> JsonLdResponse:
    """A consent and what happened to it in the Data Privacy Vocabulary (ISO/IEC TS 27560), for other systems."""
    with runtime.transaction(caller.tenant) as session:
        return JsonLdResponse(receipt_to_dpv(receipt_of(session, runtime, caller, consent)))


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
        return evidence.licences_of(session, caller.tenant, [licence])[0]


@router.get("/licences/{licence}/export", response_class=JsonLdResponse)
def export_licence(licence: RecordId, runtime: RuntimeDep, caller: CallerDep) -> JsonLdResponse:
    """A licence as a W3C ODRL 2.2 agreement, for other systems."""
    with runtime.transaction(caller.tenant) as session:
        [held] = evidence.licences_of(session, caller.tenant, [licence])
    return JsonLdResponse(licence_to_odrl(held, caller.tenant))


@router.post("/subjects", status_code=201)
def bind_subject(binding: SubjectBinding, runtime: RuntimeDep, caller: CallerDep) -> SubjectAccepted:
    """Say which principal is, or speaks for, the person behind a pseudonym."""
    with runtime.transaction(caller.tenant) as session:
        bound = subjects.bind(session, runtime, caller, binding)
    return SubjectAccepted(digest=Digest.of(bound.content), receipt=receipt(runtime, bound.log_index))


@router.post("/subjects/release", status_code=201)
def release_subject(ending: SubjectRelease, runtime: RuntimeDep, caller: CallerDep) -> SubjectAccepted:
    """Say that a principal no longer is, or speaks for, the person behind a pseudonym."""
    with runtime.transaction(caller.tenant) as session:
        released = subjects.release(session, runtime, caller, ending)
    return SubjectAccepted(digest=Digest.of(released.content), receipt=receipt(runtime, released.log_index))


@router.get("/subjects")
def list_subjects(runtime: RuntimeDep, caller: AnyCallerDep, page: PageDep) -> SubjectList:
    """The bindings that hold, by pseudonym: the tenant's, or the caller's own."""
    with runtime.transaction(caller.tenant) as session:
        return subjects.bindings(session, caller, page)
