"""Erasing a person: the request, and the signed certificate of what was destroyed, what is kept, and why. HTTP bodies."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.paging import Page
from sdk.spec.statements import Predicate
from sdk.spec.texts import Pseudonym


class ErasureRequest(WireModel):
    """Erase everything about the person behind a pseudonym. There is no way back."""

    subject: Pseudonym


class Kept(WireModel):
    """Something that an erasure leaves, and the reason."""

    what: str = Field(max_length=300)
    why: str = Field(max_length=500)


class ErasurePredicate(Predicate):
    """The keys of these records, files and documents were destroyed; the log goes on. Names no person."""

    predicate_type = "https://imprimatur.dev/attestations/erasure/v1"
    erasure: RecordId
    erased_by: PrincipalId
    consents: tuple[RecordId, ...]  # their records open no more
    versions: tuple[str, ...]  # tenant/name@number; their files open no more
    documents: tuple[Digest, ...]  # and uploads; they open no more
    keys: int = Field(ge=0)  # how many were destroyed
    kept: tuple[Kept, ...]
    erased_at: AwareDatetime


class TrainingErased(WireModel):
    """What a training service says once pictures, files and captions of these jobs are destroyed."""

    jobs: tuple[RecordId, ...] = Field(min_length=1, max_length=500)


class TrainingErasure(WireModel):
    """That it said so, and where the log has it."""

    jobs: tuple[RecordId, ...]
    confirmed_by: PrincipalId
    confirmed_at: AwareDatetime
    log_index: int = Field(ge=0)


class ErasureView(WireModel):
    """An erasure with its certificate, and what training services destroyed by it since."""

    id: RecordId
    certificate: Envelope
    training: tuple[TrainingErasure, ...] = ()


class ErasureList(Page):
    erasures: tuple[ErasureView, ...]


class ErasureAccepted(WireModel):
    """The keys are destroyed; `receipt` proves that the certificate is in the log."""

    id: RecordId
    certificate: Envelope
    receipt: LogReceipt
