"""What may be done with a concept: consent records (ISO/IEC TS 27560) and licence grants (W3C ODRL, SPDX).

Terms are data. `UseTerms` is the part that policies read; everything about a person is a pseudonym here, and the
evidence is a document named by digest, never the document itself.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, model_validator

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.specific import IntendedUse
from sdk.spec.texts import Pseudonym, Salt, ShortText

Territory = Annotated[str, Field(pattern=r"^(?:[A-Z]{2}|WORLD)$")]
"""ISO 3166-1 alpha-2, or WORLD."""
Jurisdiction = Annotated[str, Field(pattern=r"^[A-Z]{2}(?:-[A-Z0-9]{1,3})?$")]
"""Whose law: ISO 3166-1 alpha-2, or a part of it by ISO 3166-2: `JP`, `US-CA`."""
Vocabulary = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A purpose or a channel, lower case: `advertising`, `web`."""

WORLD = "WORLD"
_FIRST_ZONE: Final = timedelta(hours=14)  # UTC+14, where a day begins before it begins anywhere else


class AgeClass(StrEnum):
    """The subject's age class when the pictures were taken."""

    ADULT = "adult"
    MINOR = "minor"
    NOT_A_PERSON = "not-a-person"  # artwork, product, place: consent is the rights holder's


class ConsentStatus(StrEnum):
    """What the events of a consent record amount to."""

    REQUESTED = "requested"  # asked for and not answered; every record starts here, none is stored so
    GIVEN = "given"
    REFUSED = "refused"  # at first, or when asked to re-confirm; final
    RECONFIRMATION_DUE = "reconfirmation-due"  # a life event: it does not count until it is confirmed anew
    WITHDRAWN = "withdrawn"  # by the subject or who speaks for them; final
    EXPIRED = "expired"  # the term is over; a new record is needed, for approvals sign the term


class Capacity(StrEnum):
    """In which capacity somebody expresses a consent or grants a licence."""

    SELF = "self"
    GUARDIAN = "guardian"
    ESTATE = "estate"
    AGENT = "agent"


class VitalStatus(StrEnum):
    """Whether the subject lives when consent is expressed."""

    LIVING = "living"
    DECEASED = "deceased"


class Expression(StrEnum):
    """How a consent was expressed."""

    SIGNATURE = "signature"  # by hand, on a document
    ELECTRONIC_SIGNATURE = "electronic-signature"
    FORM = "form"  # of a web page or an application
    MESSAGE = "message"  # an e-mail or letter
    SPOKEN = "spoken"  # and recorded
    CREDENTIAL = "credential"  # in the registry itself, as the subject


class LegalBasis(StrEnum):
    """On what the processing rests in law."""

    CONSENT = "consent"  # GDPR 6(1)(a)
    EXPLICIT_CONSENT = "explicit-consent"  # GDPR 9(2)(a)
    CONTRACT = "contract"  # GDPR 6(1)(b), such as a model release for a fee


class Medium(StrEnum):
    """What may be made; a channel says where it is shown."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    MODEL_3D = "model-3d"


class Sublicensing(StrEnum):
    """Whether the licensee may let others use the works."""

    NONE = "none"
    WITH_APPROVAL = "with-approval"  # of the rights holder, each time
    ALLOWED = "allowed"


class Alteration(StrEnum):
    """What a licence forbids to do to pictures afterwards (PLUS image alteration constraints)."""

    CROP = "crop"
    FLIP = "flip"
    RETOUCH = "retouch"
    RECOLOUR = "recolour"
    MERGE = "merge"  # with other pictures


class UseTerms(WireModel):
    """Which uses are covered: an enumeration, so that what is not named is not granted."""

    purposes: tuple[Vocabulary, ...] = Field(min_length=1)
    territories: tuple[Territory, ...] = Field(min_length=1)
    channels: tuple[Vocabulary, ...] = Field(min_length=1)
    media: tuple[Medium, ...] | None = Field(default=None, min_length=1)  # none named: images, as everything here makes
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
    """One act of consent, as recorded, with the fields of ISO/IEC TS 27560. What comes later are events, not edits.

    A member that may be absent was not asked for by earlier releases; absent, it says nothing.
    """

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
    salt: Salt | None = None  # without it nobody can guess the record
    expressed_through: Expression | None = None
    represented_by: ShortText | None = None  # counsel or union that advised the subject
    vital_status: VitalStatus | None = None
    died_on: date | None = None
    of_age_on: Annotated[date, Field(ge=date(1900, 1, 1))] | None = None  # the day on which a minor comes of age
    controller_contact: ShortText | None = None
    notice_document: Digest | None = None  # the very notice that was shown
    legal_basis: LegalBasis | None = None
    jurisdiction: Jurisdiction | None = None
    personal_data: tuple[Vocabulary, ...] | None = Field(default=None, min_length=1)  # such as face, body, voice
    recipients: tuple[ShortText, ...] | None = Field(default=None, min_length=1)
    stored_in: tuple[Territory, ...] | None = Field(default=None, min_length=1)
    retained_until: date | None = None
    refused: Literal[True] | None = None  # the answer was no: recorded, and nothing is granted

    @model_validator(mode="after")
    def _is_of_one_life(self) -> ConsentRecord:
        if self.died_on is not None and self.vital_status is not VitalStatus.DECEASED:
            raise ValueError("died_on is the day of death: vital_status must be deceased")
        after_death = self.died_on is not None and self.expressed_on >= self.died_on
        if after_death and self.expressed_as is not Capacity.ESTATE:
            raise ValueError(f"the subject died on {self.died_on}: after that only the estate expresses consent")
        if self.of_age_on is not None and self.age_class is not AgeClass.MINOR:
            raise ValueError("of_age_on is for a minor: age_class must be minor")
        if self.of_age_on and self.expressed_on < self.of_age_on and self.expressed_as is Capacity.SELF:
            raise ValueError(f"the subject comes of age on {self.of_age_on}: before that a guardian expresses consent")
        return self

    @property
    def of_age_at(self) -> datetime | None:
        """The moment from which it is the day of coming of age somewhere on Earth; none for who is no minor."""
        if self.of_age_on is None:
            return None
        return datetime.combine(self.of_age_on, time.min, UTC) - _FIRST_ZONE

    def of_age_unconfirmed(self, confirmed_on: date | None, moment: datetime) -> bool:
        """Whether the subject came of age by `moment`, anywhere on Earth, and has not said yes since."""
        if self.of_age_on is None or self.of_age_at is None or moment < self.of_age_at:
            return False
        return max(self.expressed_on, confirmed_on or self.expressed_on) < self.of_age_on


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
    intended_uses: tuple[IntendedUse, ...] | None = Field(default=None, min_length=1)  # reasonably specific, in words
    represented_by: ShortText | None = None  # counsel or union that advised the person
    authority: Evidence | None = None  # by what right a guardian, estate or agent grants it
    sublicensing: Sublicensing | None = None
    alterations: tuple[Alteration, ...] | None = Field(default=None, min_length=1)  # what must not be done to pictures
    not_with_categories: tuple[Vocabulary, ...] | None = Field(default=None, min_length=1)  # of the others in a picture
    governing_law: Jurisdiction | None = None
    evidence: Evidence


class ConsentEvidence(WireModel):
    """A consent record as a verifier meets it: id, exact bytes' digest, record, status."""

    id: RecordId
    digest: Digest
    record: ConsentRecord
    status: ConsentStatus
    confirmed_on: date | None = None  # when it was last confirmed anew

    def live_at(self, moment: datetime) -> bool:
        """Whether it counts at `moment`: given, inside its term, and not the consent for a child who is one no more."""
        due = self.record.of_age_unconfirmed(self.confirmed_on, moment)
        return self.status is ConsentStatus.GIVEN and self.record.terms.live_at(moment) and not due


class LicenceEvidence(WireModel):
    """A licence grant as a verifier meets it."""

    id: RecordId
    digest: Digest
    grant: LicenceGrant
