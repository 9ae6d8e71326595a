"""What the end of a version affects: the signed blast-radius report, and the notices to applications.

The routes are in the map of `sdk.spec.api`. A report is an in-toto statement about the manifest,
signed with the registry's `status` key.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from sdk.spec.api import PlainText
from sdk.spec.break_glass import BreakGlassView
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.paging import Page
from sdk.spec.reminders import Reminder
from sdk.spec.statements import PREFIX, Predicate


class OutstandingGrant(WireModel):
    """A permit without a result whose time is not over. No artefact leaves under it once the version has ended."""

    generation: RecordId
    expires_at: AwareDatetime
    artefacts_released: int  # before the end: what the application may still hold


class AffectedApplication(WireModel):
    """What one application did with the version, and whether it knows."""

    application: PrincipalId
    generations: int  # permitted
    images_granted: int
    images_recorded: int
    outstanding: tuple[OutstandingGrant, ...] = ()
    notice_sent_at: AwareDatetime | None = None  # when it first fetched the notice
    acknowledged_at: AwareDatetime | None = None
    acknowledgement_entry: int | None = None  # in the log


class RelatedVersion(WireModel):
    """Another version that rests on a consent of this one."""

    name: str  # "tenant/name@number"
    status: VersionStatus


class BlastRadiusPredicate(Predicate):
    """What the end of a version affects, as the registry knew it at `reported_at`; before the end, what it would."""

    predicate_type = f"{PREFIX}/blast-radius/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    status: VersionStatus
    ended_at: AwareDatetime | None = None
    ended_entry: int | None = None  # in the log
    related: tuple[RelatedVersion, ...] = ()
    applications: tuple[AffectedApplication, ...] = ()
    images_recorded: int
    images: Digest  # of the canonical sorted list of the digests of all recorded images
    log_size: int  # entries of the log when it was made
    reported_at: AwareDatetime


class Notice(WireModel):
    """A version that the application was granted has ended."""

    concept: ConceptId
    number: int
    manifest: Digest
    status: VersionStatus
    ended_at: AwareDatetime
    reason: str = ""  # as the reviewer signed it; none when a consent was withdrawn
    acknowledged_at: AwareDatetime | None = None


class NoticeList(Page):
    """A page: of the versions that the caller was granted, by name, those that have ended, which may be none of this page."""

    notices: tuple[Notice, ...]
    break_glasses: tuple[BreakGlassView, ...] = ()  # in force now; to reviewers and auditors, on the first page
    reminders: tuple[Reminder, ...] = ()  # whose day is ahead; to owners and reviewers, on the first page


class NoticeAcknowledgement(WireModel):
    """The application has stopped using the version; `comment` says what was done about what was made with it."""

    concept: ConceptId
    number: int = Field(ge=1, lt=2**31)
    comment: Annotated[PlainText, Field(max_length=2000)] = ""


def images_digest(images: tuple[Digest, ...]) -> Digest:
    """What `BlastRadiusPredicate.images` is of a list of images."""
    return Digest.of(encode_canonical(sorted(str(image) for image in images)))
