"""The assertion that binds an image to what it was made with. C2PA custom assertion `dev.imprimatur.concept-use`.

Credentials are public and stay with the image for ever: ids, digests and log positions only, never a person, a scene
or a prompt.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId

ASSERTION_LABEL: Final = "dev.imprimatur.concept-use"


class CountedApproval(WireModel):
    """An approval that counted. An object, because C2PA readers show a bare list of small numbers as bytes."""

    log_index: int = Field(ge=0)


class UsedVersion(WireModel):
    """One concept version in an image, with what let it be there."""

    concept: ConceptId
    number: int = Field(ge=1)
    manifest: Digest
    consents: tuple[Digest, ...] = Field(min_length=1)  # of the consent records
    approvals: tuple[CountedApproval, ...]
    break_glass: int | None = Field(default=None, ge=0)  # the log entry that opened it; none: it was approved

    @model_validator(mode="after")
    def _something_let_it(self) -> Self:
        if not self.approvals and self.break_glass is None:
            raise ValueError("a version is in an image by approvals or by a break-glass")
        return self

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return f"{self.concept}@{self.number}"

    @property
    def urn(self) -> str:
        """The version as a URN, for fields that want a URI."""
        return f"urn:imprimatur:version:{self.concept.tenant}:{self.concept.name}:{self.number}"


class ConceptUse(WireModel):
    """What an image was made with, under which decision, recorded where."""

    schema_: Literal["imprimatur.concept-use/v1"] = Field(default="imprimatur.concept-use/v1", alias="schema")
    generation: RecordId
    versions: tuple[UsedVersion, ...] = Field(min_length=1, max_length=16)
    policy_bundle: Digest
    base_model: Digest
    log_origin: str = Field(min_length=1, max_length=200)
    intent_index: int = Field(ge=0)  # position of the recorded intent in the log
    decision: Digest | None = None  # of the decision of record, which that entry names
    receipt: Annotated[str, Field(max_length=500)] | None = None  # where an auditor fetches the proof of that entry
