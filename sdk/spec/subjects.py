"""Who is, or speaks for, a person that records name by a pseudonym; and the consents about them. HTTP bodies."""

from __future__ import annotations

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.api import Moment
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.paging import Page
from sdk.spec.terms import Capacity, ConsentEvidence, ConsentStatus, Evidence
from sdk.spec.texts import Pseudonym, ShortText


class SubjectBinding(WireModel):
    """From now on, this principal is the person behind the pseudonym (`self`), or speaks for them."""

    pseudonym: Pseudonym
    principal: PrincipalId
    capacity: Capacity
    evidence: Evidence | None = None  # of the right to speak for somebody else

    @model_validator(mode="after")
    def _proves_the_right_to_speak(self) -> SubjectBinding:
        if self.capacity is not Capacity.SELF and self.evidence is None:
            raise ValueError(f"a {self.capacity.value} speaks for somebody else: name the document that says so")
        return self


class SubjectRelease(WireModel):
    """From now on, this principal no longer is, or speaks for, the person behind the pseudonym."""

    pseudonym: Pseudonym
    principal: PrincipalId
    reason: ShortText


class SubjectView(WireModel):
    """A binding that holds."""

    binding: SubjectBinding
    since: AwareDatetime
    bound_by: PrincipalId


class SubjectList(Page):
    subjects: tuple[SubjectView, ...]


class SubjectAccepted(WireModel):
    """A binding or release is recorded; `digest` is of its canonical form, which the log entry names."""

    digest: Digest
    receipt: LogReceipt


class ConsentQuery(WireModel):
    """The filters of GET /v1/consents."""

    subject: Pseudonym | None = None
    status: ConsentStatus | None = None
    as_of: Moment | None = None  # as they stood then; those recorded later are left out
    after: RecordId | None = None
    limit: int = Field(default=100, ge=1, le=500)


class ConsentPage(WireModel):
    """Consents with their status, by id. A page may be short, or empty, before the last: `next_after` says whether to go on."""

    consents: tuple[ConsentEvidence, ...]
    next_after: RecordId | None = None
