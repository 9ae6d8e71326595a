"""The rendering service's routes, as `sdk.spec.rendering` maps them. A render is seen by its application alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sdk.spec.canonical import parse_wire
from sdk.spec.ids import RecordId
from sdk.spec.policy import Role
from sdk.spec.rendering import RenderAttention, RendererView, RenderPreviews, RenderRequest, RenderView
from trainer.jobs.auth import CallerDep
from trainer.jobs.idempotency import KeyHeader, earlier_use, keep, key_of
from trainer.jobs.routes import bounded
from trainer.jobs.runtime import RuntimeDep
from trainer.rendering import service
from trainer.rendering.admission import admit
from trainer.rendering.service_profile import current_trust_root, renderer_of

router = APIRouter(prefix="/v1", tags=["rendering"])


async def read_render(request: Request, caller: CallerDep, runtime: RuntimeDep) -> RenderRequest:
    """The body as strict JSON, never more of it than `max_render_bytes`; nothing of it is read for a stranger."""
    content = bytearray()
    async for block in bounded(request, runtime.settings.max_render_bytes, "a request to draw"):
        content += block
    return parse_wire(RenderRequest, bytes(content), "request to draw")


@router.get("/renderer")
def get_renderer(caller: CallerDep, runtime: RuntimeDep) -> RendererView:
    """Who draws here, and on which base model."""
    caller.require(Role.APP)
    return renderer_of(runtime.settings)


@router.post(
    "/renders",
    response_model_exclude_none=True,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": RenderRequest.model_json_schema()}},
        }
    },
)
def create_render(
    wanted: Annotated[RenderRequest, Depends(read_render)],
    caller: CallerDep,
    runtime: RuntimeDep,
    response: Response,
    idempotency_key: KeyHeader = None,
) -> RenderView:
    """Draw what was granted, once. The same request again is the same render."""
    caller.require(Role.APP)
    at, settings = runtime.clock(), runtime.settings
    key = key_of(caller, idempotency_key, "/v1/renders", wanted)
    with runtime.transaction() as session:
        if earlier := earlier_use(session, key, response, at=at):
            return service.view(session, RecordId(earlier), application=caller.principal)
    admitted = admit(
        wanted,
        caller=caller.principal,
        renderer=renderer_of(settings),
        trust=current_trust_root(settings, at),
        now=at,
    )
    generation = admitted.grant.generation
    with runtime.transaction() as session:
        if not keep(session, key, response, about=generation, at=at):
            service.create(session, admitted, at=at)
        return service.view(session, generation, application=caller.principal)


@router.get("/renders/{generation}", response_model_exclude_none=True)
def get_render(generation: str, caller: CallerDep, runtime: RuntimeDep) -> RenderView:
    """How far a render is."""
    with runtime.transaction() as session:
        return service.view(session, RecordId(generation), application=caller.principal)


@router.get("/renders/{generation}/previews")
def get_render_previews(generation: str, caller: CallerDep, runtime: RuntimeDep, response: Response) -> RenderPreviews:
    """How its pictures look so far, each after the newest step of which there is a preview."""
    response.headers["Cache-Control"] = "no-store"
    with runtime.transaction() as session:
        return service.previews(session, RecordId(generation), application=caller.principal)


@router.get("/renders/{generation}/images/{position}/attention")
def get_render_attention(
    generation: str, position: int, caller: CallerDep, runtime: RuntimeDep, response: Response
) -> RenderAttention:
    """What an image attended to, where the request was to keep it."""
    response.headers["Cache-Control"] = "no-store"
    with runtime.transaction() as session:
        return service.attention(session, RecordId(generation), position, application=caller.principal)


@router.get("/renders/{generation}/images/{position}", response_class=Response)
def get_render_image(generation: str, position: int, caller: CallerDep, runtime: RuntimeDep) -> Response:
    """One image, without credentials: it is recorded and marked by the application, as one that it drew itself."""
    with runtime.transaction() as session:
        content = service.image(session, RecordId(generation), position, application=caller.principal)
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.post("/renders/{generation}/end", response_model_exclude_none=True)
def end_render(
    generation: str, caller: CallerDep, runtime: RuntimeDep, response: Response, idempotency_key: KeyHeader = None
) -> RenderView:
    """Stop it if it runs, and erase its scene and images. Ending twice is ending once."""
    ended = RecordId(generation)
    key = key_of(caller, idempotency_key, f"/v1/renders/{ended}/end")
    with runtime.transaction() as session:
        keep(session, key, response, about=ended, at=runtime.clock())
        return service.end(session, ended, application=caller.principal)
