"""in-toto Statement v1: what a signer asserts about a version or a generation. https://in-toto.io/Statement/v1

Every statement names its subject by digest. The predicate types below are a closed set; each has one predicate
class. Statements travel as DSSE payloads (`sdk.spec.envelope`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AwareDatetime, Field

from sdk.errors import FormatError
from sdk.spec.canonical import WireModel, encode_canonical, parse_json, validate_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import PAYLOAD_TYPE_IN_TOTO
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.manifest import TrainingRecord
from sdk.spec.money import Money

PREFIX = "https://imprimatur.dev/attestations"


class Predicate(WireModel):
    """What is asserted; `predicate_type` is the URI that names its class."""

    predicate_type: ClassVar[str]


class TrainingPredicate(Predicate):
    """The training service made this version from these pictures."""

    predicate_type = f"{PREFIX}/training/v1"
    concept: ConceptId
    record: TrainingRecord


class ApprovalPredicate(Predicate):
    """A reviewer approves exactly this manifest under exactly these terms."""

    predicate_type = f"{PREFIX}/approval/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    reviewer: PrincipalId
    terms: Digest  # of the consent and licence records the reviewer saw; see `terms_digest`
    comment: str = Field(default="", max_length=2000)
    signed_at: AwareDatetime


class RejectionPredicate(Predicate):
    """A reviewer rejects this manifest, and says why."""

    predicate_type = f"{PREFIX}/rejection/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    reviewer: PrincipalId
    reason: str = Field(min_length=1, max_length=2000)
    terms: Digest | None = None  # of a renewal, which terms are rejected; the version itself is not
    signed_at: AwareDatetime


class RevocationPredicate(Predicate):
    """Somebody entitled ends the use of this version."""

    predicate_type = f"{PREFIX}/revocation/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    revoked_by: PrincipalId
    reason: str = Field(min_length=1, max_length=2000)
    signed_at: AwareDatetime


class GenerationPredicate(Predicate):
    """An application generated these images under this recorded intent."""

    predicate_type = f"{PREFIX}/generation/v1"
    generation: RecordId
    application: PrincipalId
    manifests: tuple[Digest, ...] = Field(min_length=1)
    finished_at: AwareDatetime
    fee: Money | None = None  # charged for the generation, where a licence has a share of it


class AuditPredicate(Predicate):
    """An auditor verified the log up to this checkpoint."""

    predicate_type = f"{PREFIX}/audit/v1"
    auditor: PrincipalId
    origin: str
    tree_size: int = Field(ge=0)
    findings: tuple[str, ...] = ()
    verified_at: AwareDatetime


class Subject(WireModel):
    """An in-toto ResourceDescriptor with a name and a SHA-256 digest."""

    name: str = Field(max_length=300, pattern=r"^[^\x00]*$")
    digest: dict[Literal["sha256"], Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(min_length=1)

    @property
    def content(self) -> Digest:
        return Digest("sha256:" + self.digest["sha256"])


class Statement(WireModel):
    """The in-toto layer: subjects, the predicate's type, the predicate still as JSON."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default="https://in-toto.io/Statement/v1", alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1, max_length=100)
    predicate_type: str = Field(alias="predicateType")
    predicate: dict[str, object]


_AnyPredicate = TypeVar("_AnyPredicate", bound=Predicate)


def terms_digest(records: tuple[Digest, ...]) -> Digest:
    """One digest over the digests of the consent and licence records of a version, order-free."""
    return Digest.of(encode_canonical(sorted(str(record) for record in records)))


def encode_statement(predicate: Predicate, *, subjects: dict[str, Digest]) -> bytes:
    """The DSSE payload that asserts `predicate` about `subjects` (name to digest)."""
    named = tuple(Subject(name=name, digest={"sha256": digest.hex}) for name, digest in subjects.items())
    body = predicate.model_dump(mode="json", by_alias=True, exclude_none=True)
    return encode_canonical(Statement(subject=named, predicate_type=predicate.predicate_type, predicate=body))


def parse_statement(payload: bytes, payload_type: str) -> Statement:
    """Read a verified DSSE payload as a Statement. Raises `FormatError`."""
    if payload_type != PAYLOAD_TYPE_IN_TOTO:
        raise FormatError(f"expected a payload of type {PAYLOAD_TYPE_IN_TOTO}, found {payload_type!r}")
    return validate_wire(Statement, parse_json(payload, "statement"), "statement")


def parse_predicate(statement: Statement, cls: type[_AnyPredicate]) -> _AnyPredicate:
    """Read the statement's predicate as `cls`. Raises `FormatError` when its type is another."""
    if statement.predicate_type != cls.predicate_type:
        raise FormatError(f"expected a statement of type {cls.predicate_type}, found {statement.predicate_type}")
    return validate_wire(cls, statement.predicate, f"predicate {cls.__name__}")
