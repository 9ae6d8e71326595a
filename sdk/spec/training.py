"""HTTP bodies of the trainer, and the map of its routes: what to learn from which pictures, and how far it is.

Authentication, errors and idempotency keys are those of the registry (`sdk.spec.api`); a repetition is answered with the job as it
stands.

    GET   /healthz                                           Health
    PUT   /v1/pictures/{digest}                              bytes -> 201, or 200 when already there
    POST  /v1/jobs                                           TrainingRequest -> JobView
    GET   /v1/jobs?cursor=&limit=                            JobList
    GET   /v1/jobs/{id}                                      JobView
    POST  /v1/jobs/{id}/cancel                               JobView
    GET   /v1/jobs/{id}/files                                FileList
    GET   /v1/jobs/{id}/files/{name}                         bytes
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.manifest import ArtefactName, ConceptKind
from sdk.spec.paging import Page

Number = Annotated[int, Field(gt=-(2**53), lt=2**53)] | Annotated[float, Field(allow_inf_nan=False)]
Caption = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]
Setting = Number | tuple[Number, ...] | tuple[tuple[Number, Number], ...] | tuple[Caption, ...]
"""What `EMConfig` takes by one name: a number, or several, pairs or captions."""
SettingName = Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,60}$")]


class ConceptRequest(WireModel):
    """One concept to learn."""

    id: ConceptId
    kind: ConceptKind
    class_word: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
    vectors: int = Field(default=3, ge=1, le=4)
    consents: tuple[RecordId, ...] = Field(min_length=1)
    licences: tuple[RecordId, ...] = Field(min_length=1)


class PictureRequest(WireModel):
    """One uploaded picture and the concepts in it.

    `masks` are uploaded as pictures are: of the picture's size, white where the concept is.
    """

    name: ArtefactName
    digest: Digest
    concepts: tuple[ConceptId, ...] = Field(min_length=1)
    caption: Caption | None = None
    masks: dict[ConceptId, Digest] = Field(default_factory=dict)

    @property
    def files(self) -> tuple[Digest, ...]:
        """The picture and its masks."""
        return (self.digest, *self.masks.values())


class TrainingRequest(WireModel):
    """A training job: concepts learned together from pictures."""

    concepts: tuple[ConceptRequest, ...] = Field(min_length=1, max_length=8)
    pictures: tuple[PictureRequest, ...] = Field(min_length=1, max_length=20)
    seed: int = Field(default=0, ge=0, lt=2**53)
    settings: dict[SettingName, Setting] = Field(default_factory=dict)  # overrides of EMConfig, by dotted name
    draft: bool = False  # the versions are stored as drafts, whose review is asked for later


class JobStatus(StrEnum):
    """Where a training job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"  # trained and submitted
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobProgress(WireModel):
    """How far a running job is."""

    phase: str  # "e-step", "m-step", "quality", "export", "submit"
    round: int
    rounds: int
    step: int
    steps: int
    loss: Annotated[float, Field(allow_inf_nan=False)] | None = None
    eta_seconds: float | None = None


class JobView(WireModel):
    id: RecordId
    status: JobStatus
    requested_by: PrincipalId
    request: TrainingRequest
    progress: JobProgress | None = None
    error: str | None = None
    versions: tuple[str, ...] = ()  # "tenant/name@number", once submitted
    erased: RecordId | None = None  # the erasure by which its pictures, files and captions are gone
    created_at: AwareDatetime
    finished_at: AwareDatetime | None = None


class JobList(Page):
    jobs: tuple[JobView, ...]


class FileList(WireModel):
    files: tuple[str, ...]
