"""/v1/generations. A refusal is committed before it is answered; artefacts leave after their release is committed."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from registry.auth import CallerDep
from registry.generations import query as reading
from registry.generations import quota, results, service
from registry.generations.identify import identify
from registry.generations.release import release, require_drawn_by
from registry.generations.usage import usage
from registry.log.proofs import receipt_to_come
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from sdk.errors import ServiceError
from sdk.policy.engine import require_permit
from sdk.spec.api import (
    DecisionPage,
    DecisionQuery,
    GenerationGrant,
    GenerationIntent,
    GenerationList,
    GenerationResult,
    GenerationView,
    LicenceCount,
)
from sdk.spec.digest import Digest
from sdk.spec.identify import IdentifyAnswer, IdentifyQuery
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.opening import GrownReceipt, OpeningQuery, RecordingQuery, ReleasedArtefact
from sdk.spec.usage import UsageQuery, UsageReport

SECRET: Final = {"Cache-Control": "no-store"}

router = APIRouter(prefix="/v1/generations", tags=["generations"])


@router.post("", status_code=201, response_model_exclude_none=True)
def open_generation(
    intent: GenerationIntent,
    query: Annotated[OpeningQuery, Query()],
    runtime: RuntimeDep,
    caller: CallerDep,
    response: Response,
) -> GenerationGrant:
    """Record an intent, and decide on it; with the embeddings, where the caller draws and asks for them."""
    if query.release:
        require_drawn_by(caller, intent)
        response.headers.update(SECRET)
    with runtime.transaction(caller.tenant) as session:
        attempt = service.request(session, runtime, caller, intent, query)
        receipt = receipt_to_come(session, runtime, attempt.log_index, since=query.since)
    require_permit(attempt.decision)
    if attempt.expires_at is None or attempt.grant is None:
        raise ServiceError(f"{attempt.id} was permitted without a grant; record a new intent")
    proven = receipt()
    opened = (ReleasedArtefact(digest=each.digest, content=each.open(runtime.blobs)) for each in attempt.released)
    return GenerationGrant(
        id=attempt.id,
        decision=attempt.decision,
        context=attempt.context,
        grant=attempt.grant,
        receipt=proven.alone,
        expires_at=attempt.expires_at,
        growth=proven.growth,
        released=tuple(opened) if query.release else None,
    )


@router.get("")
def list_generations(
    runtime: RuntimeDep, caller: CallerDep, page: PageDep, concept: ConceptId | None = None
) -> GenerationList:
    """Generations of the caller's tenant, of one concept if one is named."""
    with runtime.transaction(caller.tenant) as session:
        return reading.listed(session, runtime, caller, concept, page)


@router.get("/decisions")
def list_decisions(query: Annotated[DecisionQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> DecisionPage:
    """Decisions with the contexts they were made on, a page at a time."""
    with runtime.transaction(caller.tenant) as session:
        return reading.decisions(session, runtime, caller, query)


@router.get("/usage")
def report_usage(query: Annotated[UsageQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> UsageReport:
    """How much was used, told apart by the dimensions asked for."""
    with runtime.transaction(caller.tenant) as session:
        return usage(session, runtime, caller, query)


@router.post("/identify")
def identify_picture(query: IdentifyQuery, runtime: RuntimeDep, caller: CallerDep) -> IdentifyAnswer:
    """Which image on record a picture is, or looks like."""
    with runtime.transaction(caller.tenant) as session:
        return identify(session, runtime, caller, query)


@router.get("/licences/{licence}")
def count_images(licence: RecordId, runtime: RuntimeDep, caller: CallerDep) -> LicenceCount:
    """How many images were granted under a licence."""
    with runtime.transaction(caller.tenant) as session:
        return quota.images_under(session, caller, licence)


@router.get("/{generation}")
def get_generation(generation: RecordId, runtime: RuntimeDep, caller: CallerDep) -> GenerationView:
    """One generation."""
    with runtime.transaction(caller.tenant) as session:
        return reading.one(session, runtime, caller, generation)


@router.get("/{generation}/artefacts/{digest}", response_class=Response)
def get_artefact(generation: RecordId, digest: Digest, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """An embedding or mask, to the application that was permitted to use it."""
    with runtime.transaction(caller.tenant) as session:
        artefact = release(session, runtime, caller, generation, digest)
    headers = {"X-Content-Type-Options": "nosniff", **SECRET}
    return Response(artefact.open(runtime.blobs), media_type="application/octet-stream", headers=headers)


@router.post("/{generation}/result", status_code=201, response_model_exclude_none=True)
def record_result(
    generation: RecordId,
    result: GenerationResult,
    query: Annotated[RecordingQuery, Query()],
    runtime: RuntimeDep,
    caller: CallerDep,
) -> GrownReceipt:
    """Record what was generated."""
    with runtime.transaction(caller.tenant) as session:
        index = results.record_result(session, runtime, caller, generation, result)
        receipt = receipt_to_come(session, runtime, index, since=query.since)
    return receipt()
