"""HTTP bodies of the rendering service: drawing, on its GPUs, what an application was granted. Served by the trainer.

Authentication and errors are those of `sdk.spec.api`. A render is of one compose grant, and named by its generation.

    GET    /v1/renderer                                      RendererView
    POST   /v1/renders                                       RenderRequest -> RenderView
    GET    /v1/renders/{generation}                          RenderView
    GET    /v1/renders/{generation}/previews                 RenderPreviews: how its pictures look so far
    GET    /v1/renders/{generation}/images/{position}        bytes: a PNG without credentials, to the application alone
    GET    /v1/renders/{generation}/images/{position}/attention   RenderAttention: what the picture attended to
    POST   /v1/renders/{generation}/end                      RenderView; the scene and the images are erased
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes, Envelope
from sdk.spec.explanation import ConceptAttention
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.sampling import MAX_COUNT, MAX_STEPS, Sampling

PlaceholderName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^{}\x00]+$")]


class RenderStatus(StrEnum):
    """Where a render stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"  # the images wait for the application
    FAILED = "failed"  # `error` says why
    ENDED = "ended"  # the application has them, or wants them no more; nothing of it is kept but that it was


class RendererView(WireModel):
    """Who draws here, for intents to name, and on which base model."""

    principal: PrincipalId
    base_model: Digest


class RenderRequest(WireModel):
    """What to draw. All of it is held to the grant: the service draws exactly what was granted."""

    grant: Envelope
    scene: str = Field(min_length=1, max_length=2_000)
    names: dict[PlaceholderName, ConceptId] = Field(min_length=1, max_length=16)  # what stands in the scene's braces
    sampling: Sampling
    manifests: tuple[Base64Bytes, ...] = Field(min_length=1, max_length=16)  # canonical bytes, in the grant's order
    preview_every: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None  # steps between previews; none: no previews
    explain: bool | None = None  # keep what each picture attends to


class RenderFault(WireModel):
    """Why a render failed, as a code of `sdk.errors` and a message."""

    code: str
    message: str


class RenderView(WireModel):
    generation: RecordId
    status: RenderStatus
    image: int = 0  # the first of those being drawn, from 0
    together: int = 1  # how many are drawn at once
    images: int  # to be drawn in all
    step: int = 0  # of those being drawn, from 0
    steps: int
    previews: int = 0  # made so far; those of a picture replace each other
    error: RenderFault | None = None
    created_at: AwareDatetime


class RenderPreview(WireModel):
    """How a picture looked after a step, small: no result, and kept until the render ends."""

    image: int = Field(ge=0, lt=MAX_COUNT)
    step: int = Field(ge=0, lt=MAX_STEPS)
    picture: Base64Bytes  # a PNG


class RenderPreviews(WireModel):
    previews: tuple[RenderPreview, ...] = Field(max_length=MAX_COUNT)


class RenderAttention(WireModel):
    """What a picture attended to while it was drawn."""

    concepts: tuple[ConceptAttention, ...] = Field(min_length=1, max_length=17)
