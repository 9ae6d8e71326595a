"""What may be done with a concept: consent records (ISO/IEC TS 27560) and licence grants (W3C ODRL, SPDX).

Terms are data. `UseTerms` is the part that policies read; everything about a person is a pseudonym here, and the
evidence is a document named by digest, never the document itself.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.royalty import RoyaltyTerms

ShortText = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Pseudonym = ShortText
"""What a person is called in records; who that is, is written down elsewhere."""
Territory = Annotated[str, Field(pattern=r"^(?:[A-Z]{2}|WORLD)$")]
"""ISO 3166-1 alpha-2, or WORLD."""
Vocabulary = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A purpose or a channel, lower case: `advertising`, `web`."""

WORLD = "WORLD"


class AgeClass(StrEnum):
    """The subject's age class when the pictures were taken."""

    ADULT = "adult"
    MINOR = "minor"
    NOT_A_PERSON = "not-a-person"  # artwork, product, place: consent is the rights holder's


class ConsentStatus(StrEnum):
    """What the events of a consent record amount to."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"  # by the subject or who speaks for them; final
    EXPIRED = "expired"  # the term is over


class Capacity(StrEnum):
    """In which capacity somebody expresses a consent or grants a licence."""

    SELF = "self"
    GUARDIAN = "guardian"
    ESTATE = "estate"
    AGENT = "agent"


class UseTerms(WireModel):
    """Which uses are covered: an enumeration, so that what is not named is not granted."""

    purposes: tuple[Vocabulary, ...] = Field(min_length=1)
    territories: tuple[Territory, ...] = Field(min_length=1)
    channels: tuple[Vocabulary, ...] = Field(min_length=1)
    valid_from: AwareDatetime
    valid_until: AwareDatetime

    @model_validator(mode="after")
    def _term_is_an_interval(self) -> UseTerms:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must lie before valid_until")
        return self

    def live_at(self, moment: datetime) -> bool:
        """Whether `moment` lies inside the term."""
        return self.valid_from <= moment < self.valid_until


class Evidence(WireModel):
    """Where it is written: a document by digest, with page and clause."""

    document: Digest
    page: int = Field(ge=1)
    clause: ShortText


class ConsentRecord(WireModel):
    """One act of consent, as recorded. Withdrawal and expiry are later events, not edits."""

    covers: tuple[ConceptId, ...] = Field(min_length=1)
    subject: Pseudonym
    age_class: AgeClass
    controller: ShortText
    notice: ShortText  # where the notice shown to the subject is published
    notice_language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$")]
    terms: UseTerms
    withdrawal_method: ShortText
    evidence: Evidence
    expressed_by: ShortText
    expressed_as: Capacity
    expressed_on: date
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None  # without it nobody can guess the record


class LicenceGrant(WireModel):
    """A right to use works: who grants it, under which licence, for what."""

    covers: tuple[ConceptId, ...] = Field(min_length=1)
    rights_holder: ShortText
    capacity: Capacity
    license: Annotated[str, Field(pattern=r"^(?:LicenseRef-)?[A-Za-z0-9.+-]{1,100}$")]  # SPDX id or LicenseRef-
    attribution: ShortText
    terms: UseTerms
    prohibited_uses: tuple[Vocabulary, ...] = ()
    not_with: tuple[ConceptId, ...] = ()  # concepts that may not appear in the same picture
    categories: tuple[Vocabulary, ...] | None = Field(
        default=None, min_length=1
    )  # what is shown, in trade: soft-drinks
    exclusive_in: tuple[Vocabulary, ...] | None = Field(default=None, min_length=1)  # no other of these beside it
    applications: tuple[PrincipalId, ...] | None = Field(default=None, min_length=1)  # none named: any of the tenant
    base_models: tuple[Digest, ...] | None = Field(default=None, min_length=1)  # none named: any base model
    max_images: int | None = Field(default=None, ge=1)  # images granted under it in all; none: as many as are asked for
    royalty: RoyaltyTerms | None = None  # none: nothing is owed for uses
    evidence: Evidence


class ConsentEvidence(WireModel):
    """A consent record as a verifier meets it: id, exact bytes' digest, record, status."""

    id: RecordId
    digest: Digest
    record: ConsentRecord
    status: ConsentStatus


class LicenceEvidence(WireModel):
    """A licence grant as a verifier meets it."""

    id: RecordId
    digest: Digest
    grant: LicenceGrant
