"""Why a generation was permitted and what its pictures attended to, as it travels and is kept.

`GenerationAttention` is made while drawing, if it was asked for, and stays with the application; the result on record
holds its digest. `Explanation` joins it to what the registry knows: the decision, the versions, their approvals and
terms. Neither names a scene or a prompt.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.policy import Decision, Use
from sdk.spec.terms import UseTerms

FULL = 255  # of a cell: the place attended to nothing else in the scene


class ConceptAttention(WireModel):
    """Where a picture attended to a concept, or to the scene's words that are none, and how much of it in all."""

    concept: ConceptId | None = None
    share: float = Field(ge=0, le=1)  # the shares of a picture add up to 1
    rows: int = Field(ge=1, le=256)
    columns: int = Field(ge=1, le=256)
    cells: Base64Bytes  # row by row; 255 is all of what the place paid to the scene's words

    @model_validator(mode="after")
    def _every_place_has_a_cell(self) -> ConceptAttention:
        if len(self.cells) != self.rows * self.columns:
            raise ValueError(f"a map of {self.rows} x {self.columns} has {len(self.cells)} cells")
        return self

    @property
    def peak(self) -> tuple[float, float]:
        """The middle of its highest cell, in fractions of the picture from its left and its top."""
        row, column = divmod(self.cells.index(max(self.cells)), self.columns)
        return (column + 0.5) / self.columns, (row + 0.5) / self.rows


class ImageAttention(WireModel):
    """The maps of one picture."""

    image: Digest  # of the file that was handed out
    concepts: tuple[ConceptAttention, ...] = Field(min_length=1, max_length=17)


class GenerationAttention(WireModel):
    """The maps of all pictures of a generation, in their order."""

    schema_: Literal["imprimatur.attention/v1"] = Field(default="imprimatur.attention/v1", alias="schema")
    generation: RecordId
    images: tuple[ImageAttention, ...] = Field(min_length=1, max_length=64)

    @property
    def digest(self) -> Digest:
        return Digest.of(encode_canonical(self))


class CountedReviewer(WireModel):
    """Who approved a version, proven by the entry of this index in the log."""

    reviewer: PrincipalId
    log_index: int


class RecordTerms(WireModel):
    """A consent record or licence grant, and what it covers."""

    id: RecordId
    digest: Digest
    terms: UseTerms


class TracedVersion(WireModel):
    """A version that images were made with, who approved it, and under which terms."""

    name: str  # tenant/name@number
    manifest: Digest
    approvals: tuple[CountedReviewer, ...]
    consents: tuple[RecordTerms, ...]
    licences: tuple[RecordTerms, ...]


class Explanation(WireModel):
    """A generation explained. `images` is empty unless attention was recorded."""

    schema_: Literal["imprimatur.explanation/v1"] = Field(default="imprimatur.explanation/v1", alias="schema")
    generation: RecordId
    application: PrincipalId
    decided_at: AwareDatetime
    use: Use
    decision: Decision
    versions: tuple[TracedVersion, ...]
    intent_index: int  # in the log
    result_index: int | None = None
    images: tuple[ImageAttention, ...] = ()
