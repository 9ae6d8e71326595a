"""The `ConceptManifest`: everything a concept version is, by digest. Its own digest is the version's address.

A manifest is never edited. What happens to a version later (approval, revocation) is said by statements about
the manifest's digest.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from sdk.errors import FormatError
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId

_SEGMENT = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
ArtefactName = Annotated[str, Field(pattern=rf"^{_SEGMENT}(?:/{_SEGMENT})*$", max_length=200)]
"""A relative POSIX path: no leading slash, no empty segment, no `.` or `..`."""


class ConceptKind(StrEnum):
    """What a concept is; decides the risk class and so the number of approvals."""

    SUBJECT = "subject"  # a thing or an animal
    PERSON = "person"  # an identifiable human being
    CHARACTER = "character"
    PRODUCT = "product"
    LOGO = "logo"
    STYLE = "style"
    BACKGROUND = "background"  # a place


def minimum_approvals(kind: ConceptKind, *, minor: bool) -> int:
    """How many reviewers must approve at the least: two for an identifiable human being or a minor, one else."""
    return 2 if minor or kind is ConceptKind.PERSON else 1


class ArtefactRole(StrEnum):
    """What a file of a version is for."""

    EMBEDDING = "embedding"  # what a generator binds; released only with a decision
    MASK = "mask"
    SAMPLE = "sample"  # a picture generated for the reviewer
    TRAINING_PICTURE = "training-picture"  # as decoded and re-encoded for training
    REPORT = "report"


class ArtefactDescriptor(WireModel):
    """One file of a version."""

    name: ArtefactName
    role: ArtefactRole
    media_type: str = Field(max_length=100)
    size: int = Field(ge=0)
    digest: Digest


class EmbeddingFacts(WireModel):
    """How the learned embedding is bound: under which token, with which shape."""

    placeholder_token: Annotated[str, Field(pattern=r"^<[a-z0-9-]{1,130}>$")]
    vectors: int = Field(ge=1, le=16)
    dimensions: tuple[int, ...] = Field(min_length=1, max_length=2)  # one per text encoder
    class_word: Annotated[str, Field(min_length=1, max_length=60)]


class TrainingRecord(WireModel):
    """How a version was made; attested by the training service."""

    job: RecordId
    requested_by: PrincipalId  # the trainer of record
    method: Literal["em-concept-learning"] = "em-concept-learning"
    software: str = Field(max_length=200)
    config: Digest
    seed: int = Field(ge=0, lt=2**53)
    rounds: int = Field(ge=0)
    steps: int = Field(ge=0)
    pictures: tuple[Digest, ...] = Field(min_length=1, max_length=20)  # of the uploaded files
    learned_with: tuple[ConceptId, ...] = ()  # other concepts of the same job
    started_at: AwareDatetime
    finished_at: AwareDatetime


class ConceptManifest(WireModel):
    """One immutable version of a concept."""

    schema_: Literal["imprimatur.concept-manifest/v1"] = Field(default="imprimatur.concept-manifest/v1", alias="schema")
    concept: ConceptId
    kind: ConceptKind
    base_model: Digest
    embedding: EmbeddingFacts
    artefacts: tuple[ArtefactDescriptor, ...] = Field(min_length=1, max_length=500)
    training: TrainingRecord
    consents: tuple[RecordId, ...] = Field(min_length=1)
    licences: tuple[RecordId, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _artefact_names_are_unique(self) -> ConceptManifest:
        names = [artefact.name for artefact in self.artefacts]
        if len(set(names)) != len(names):
            raise ValueError("two artefacts have the same name")
        return self

    @property
    def digest(self) -> Digest:
        """The version's content address."""
        return Digest.of(encode_manifest(self))

    def by_role(self, role: ArtefactRole) -> tuple[ArtefactDescriptor, ...]:
        """The artefacts with `role`, in the manifest's order."""
        return tuple(artefact for artefact in self.artefacts if artefact.role is role)


def encode_manifest(manifest: ConceptManifest) -> bytes:
    """The canonical bytes that are stored, digested and signed about."""
    return encode_canonical(manifest)


def parse_manifest(content: bytes) -> ConceptManifest:
    """Read a manifest. Raises `FormatError`, also when the bytes are not in canonical form."""
    manifest = parse_wire(ConceptManifest, content, "concept manifest")
    if encode_manifest(manifest) != content:
        raise FormatError("concept manifest is not in RFC 8785 form; encode it with encode_manifest")
    return manifest
