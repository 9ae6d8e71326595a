"""The trainer's routes, as `sdk.spec.api` maps them: pictures in, jobs, what a job wrote.

Who may what, within a tenant: a trainer or owner uploads, asks (policy decides), cancels and reads files, for these
show people; whoever has a role that works with people's records may look at jobs. An application sees
nothing here.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse

from sdk.errors import PayloadTooLarge
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, PageQuery
from sdk.spec.policy import Role
from sdk.spec.training import FileList, JobList, JobView, TrainingRequest
from trainer.jobs import query, service
from trainer.jobs.admission import admit
from trainer.jobs.auth import CallerDep
from trainer.jobs.files import find_file, list_files
from trainer.jobs.idempotency import KeyHeader, earlier_use, keep, key_of
from trainer.jobs.pictures import PictureStore
from trainer.jobs.runtime import Runtime, RuntimeDep

MAKERS: Final = (Role.TRAINER, Role.OWNER)
READERS: Final = (*MAKERS, Role.REVIEWER, Role.AUDITOR, Role.ADMIN, Role.TRAINING_SERVICE)

router = APIRouter(prefix="/v1")


async def read_request(request: Request, caller: CallerDep, runtime: RuntimeDep) -> TrainingRequest:
    """The body as strict JSON, never more of it than `max_body_bytes`; nothing of it is read for a stranger."""
    content = bytearray()
    async for block in bounded(request, runtime.settings.max_body_bytes, "a training request"):
        content += block
    return parse_wire(TrainingRequest, bytes(content), "training request")


@router.put("/pictures/{digest}", status_code=201, responses={200: {"description": "it was there already"}})
async def put_picture(digest: str, request: Request, caller: CallerDep, runtime: RuntimeDep) -> Response:
    """Upload a picture under the digest of its bytes."""
    caller.require(*MAKERS)
    limit = runtime.settings.max_picture_bytes
    store = _pictures(runtime)
    created = await store.receive(caller.tenant, Digest(digest), bounded(request, limit, "a picture"))
    return Response(status_code=201 if created else 200)


@router.post(
    "/jobs",
    response_model_exclude_none=True,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": TrainingRequest.model_json_schema()}},
        }
    },
)
def create_job(
    wanted: Annotated[TrainingRequest, Depends(read_request)],
    caller: CallerDep,
    runtime: RuntimeDep,
    response: Response,
    idempotency_key: KeyHeader = None,
) -> JobView:
    """Ask for a training; refused before a job exists when consent, licence or policy do not allow it."""
    at, key = runtime.clock(), key_of(caller, idempotency_key, "/v1/jobs", wanted)
    with runtime.transaction() as session:
        if earlier := earlier_use(session, key, response, at=at):
            return query.view(session, RecordId(earlier), tenant=caller.tenant)
    with runtime.open_registry(caller.credential) as registry:
        decision = admit(
            wanted,
            caller,
            registry=registry,
            open_policy=runtime.open_policy,
            pictures=_pictures(runtime),
            at=at,
        )
    job = service.new_job_id(runtime.entropy)
    with runtime.transaction() as session:
        if earlier := keep(session, key, response, about=job, at=at):
            return query.view(session, RecordId(earlier), tenant=caller.tenant)
        service.create(session, job=job, request=wanted, requested_by=caller.principal, decision=decision, at=at)
        return query.view(session, job, tenant=caller.tenant)


@router.get("/jobs", response_model_exclude_none=True)
def list_jobs(
    caller: CallerDep,
    runtime: RuntimeDep,
    cursor: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> JobList:
    """The tenant's jobs, newest first."""
    caller.require(*READERS)
    with runtime.transaction() as session:
        return query.page(session, PageQuery(cursor=cursor, limit=limit), tenant=caller.tenant)


@router.get("/jobs/{job}", response_model_exclude_none=True)
def get_job(job: str, caller: CallerDep, runtime: RuntimeDep) -> JobView:
    """One job with its progress."""
    caller.require(*READERS)
    with runtime.transaction() as session:
        return query.view(session, RecordId(job), tenant=caller.tenant)


@router.post("/jobs/{job}/cancel", response_model_exclude_none=True)
def cancel_job(
    job: str, caller: CallerDep, runtime: RuntimeDep, response: Response, idempotency_key: KeyHeader = None
) -> JobView:
    """End a queued job; ask a running one to stop at its next sign of progress."""
    caller.require(*MAKERS)
    asked, at = RecordId(job), runtime.clock()
    key = key_of(caller, idempotency_key, f"/v1/jobs/{asked}/cancel")
    with runtime.transaction() as session:
        if not keep(session, key, response, about=asked, at=at):
            service.request_cancel(session, asked, tenant=caller.tenant, at=at)
        return query.view(session, asked, tenant=caller.tenant)


@router.get("/jobs/{job}/files")
def list_job_files(job: str, caller: CallerDep, runtime: RuntimeDep) -> FileList:
    """The names of what the job wrote."""
    record = _visible(job, caller, runtime)
    return FileList(files=list_files(runtime.settings.jobs, record))


@router.get("/jobs/{job}/files/{name:path}")
def get_job_file(job: str, name: str, caller: CallerDep, runtime: RuntimeDep) -> FileResponse:
    """One file of a job."""
    record = _visible(job, caller, runtime)
    path = find_file(runtime.settings.jobs, record, name)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # An attachment that is never sniffed: what a job wrote is not run as a page of this service.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return FileResponse(path, media_type=media_type, filename=path.name, headers=headers)


def _visible(job: str, caller: CallerDep, runtime: Runtime) -> RecordId:
    caller.require(*MAKERS)
    record = RecordId(job)
    with runtime.transaction() as session:
        query.view(session, record, tenant=caller.tenant)
    return record


def _pictures(runtime: Runtime) -> PictureStore:
    return PictureStore(root=runtime.settings.pictures, max_bytes=runtime.settings.max_picture_bytes)


async def bounded(request: Request, limit: int, what: str) -> AsyncIterator[bytes]:
    """The body's blocks. Raises `PayloadTooLarge` as soon as it is known to be over `limit` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise PayloadTooLarge(f"{what} may have at most {limit} bytes, {announced} were announced")
    size = 0
    async for block in request.stream():
        size += len(block)
        if size > limit:
            raise PayloadTooLarge(f"{what} may have at most {limit} bytes")
        yield block
