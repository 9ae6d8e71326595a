"""A version as a value, and the terms it rests on. Nothing is read or written here.

A `Version` is what was stored, with the state that was loaded with it; `Terms` are its consents and licences at one
moment. What holds at that moment (its status, its facts for policies) needs both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from registry.versions.lifecycle import status_at
from sdk.errors import Conflict, Erased
from sdk.policy.facts import concept_facts
from sdk.spec.api import VersionView
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.manifest import ConceptManifest, parse_manifest
from sdk.spec.policy import ConceptFacts
from sdk.spec.statements import terms_digest
from sdk.spec.terms import ConsentEvidence, ConsentStatus, LicenceEvidence

manifest_of: Final = lru_cache(maxsize=256)(parse_manifest)
"""The manifest with these bytes, read once: they never change."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The consents and licences that a version rests on, at one moment."""

    consents: tuple[ConsentEvidence, ...]
    licences: tuple[LicenceEvidence, ...]
    at: datetime

    @property
    def digest(self) -> Digest:
        """What an approval of the version signs."""
        consents = tuple(held.digest for held in self.consents)
        return terms_digest(consents + tuple(held.digest for held in self.licences))

    @property
    def are_over(self) -> bool:
        """Whether the term of one of them is over."""
        ends = [held.record.terms.valid_until for held in self.consents]
        ends += [held.grant.terms.valid_until for held in self.licences]
        return self.at >= min(ends)

    @property
    def hold(self) -> bool:
        """Whether all of them hold: every consent is given, and no term is over."""
        return not self.are_over and all(held.status is ConsentStatus.GIVEN for held in self.consents)

    @property
    def are_due(self) -> bool:
        """Whether one of the consents has to be confirmed anew."""
        return any(held.status is ConsentStatus.RECONFIRMATION_DUE for held in self.consents)


@dataclass(frozen=True, kw_only=True)
class BreakGlass:
    """Two people's leave to use a version before it is approved."""

    terms: Digest
    opened_at: datetime
    expires_at: datetime
    log_index: int

    def covers(self, terms: Terms) -> bool:
        """Whether it is for these very terms, at their moment."""
        return terms.digest == self.terms and self.opened_at <= terms.at < self.expires_at


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """Records that a version rests on from `since` on, in place of those before."""

    round: int
    consents: tuple[RecordId, ...]
    licences: tuple[RecordId, ...]
    since: datetime
    requested_entry: int
    log_index: int  # of the entry that says that it holds


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version as it was stored, with the state that was loaded with it."""

    concept: ConceptId
    number: int
    tenant: TenantName
    digest: Digest
    content: bytes  # the manifest's exact bytes
    attestation: Envelope
    owner: PrincipalId
    trainer_of_record: PrincipalId
    review_requested_by: PrincipalId | None  # none: a draft
    approvals_required: int
    submitted_by: PrincipalId
    submitted_at: datetime
    log_index: int
    stored_status: VersionStatus
    approvals: int
    break_glass: BreakGlass | None
    renewals: tuple[Renewal, ...] = ()  # approved, by round

    @property
    def name(self) -> str:
        """`tenant/name@number`, as the log names a version."""
        return f"{self.concept}@{self.number}"

    @property
    def requester(self) -> PrincipalId:
        """Who asked for its review. Raises `Conflict` while nobody has."""
        if self.review_requested_by is None:
            raise Conflict(f"{self.name} is a draft; its review must be asked for first")
        return self.review_requested_by

    @property
    def manifest(self) -> ConceptManifest:
        return manifest_of(self.content)

    def renewal_at(self, at: datetime) -> Renewal | None:
        """The renewal whose terms held at the moment `at`: the newest that had begun. None: those of the manifest did."""
        return next((renewal for renewal in reversed(self.renewals) if renewal.since <= at), None)

    def consents_at(self, at: datetime) -> tuple[RecordId, ...]:
        """The consents that it rested on at the moment `at`."""
        return (self.renewal_at(at) or self.manifest).consents

    def licences_at(self, at: datetime) -> tuple[RecordId, ...]:
        """The licences that it rested on at the moment `at`."""
        return (self.renewal_at(at) or self.manifest).licences

    @property
    def every_consent(self) -> frozenset[RecordId]:
        """The consents that it rests on, ever rested on, or will rest on when a renewal begins."""
        return frozenset(self.manifest.consents).union(*(renewal.consents for renewal in self.renewals))

    def licences_under(self, number: int) -> tuple[RecordId, ...]:
        """The licences of its renewal of this number; of its manifest, for 0."""
        renewed = {renewal.round: renewal.licences for renewal in self.renewals}
        return renewed.get(number, self.manifest.licences)

    def status(self, terms: Terms) -> VersionStatus:
        """The status that holds under `terms`."""
        return status_at(
            self.stored_status,
            term_is_over=terms.are_over,
            consent_is_due=terms.are_due,
            is_opened=terms.hold and self.opens(terms),
        )

    def require_whole(self, terms: Terms) -> None:
        """Return if `terms` have every consent that it rests on at their moment.

        Raises:
            Erased: one was erased; what is left must not be decided on as if it were all.
        """
        there = {held.id for held in terms.consents}
        if gone := [consent for consent in self.consents_at(terms.at) if consent not in there]:
            raise Erased(
                f"{self.name} should rest on all the consents that it names, but {', '.join(gone)} is erased; "
                "train a new version under consents that stand"
            )

    def opens(self, terms: Terms) -> bool:
        """Whether a break-glass covers it under `terms`, if they hold and it waits for reviewers."""
        return self.break_glass is not None and self.break_glass.covers(terms)

    def facts(self, terms: Terms, images_granted: Mapping[RecordId, int] | None = None) -> ConceptFacts:
        """What policies may know of it; `images_granted` under each licence so far, where they are counted."""
        return concept_facts(
            concept=self.concept,
            number=self.number,
            kind=self.manifest.kind,
            status=self.status(terms).value,
            owner=self.owner,
            trainer_of_record=self.trainer_of_record,
            review_requested_by=self.review_requested_by,
            consents=terms.consents,
            licences=terms.licences,
            at=terms.at,
            base_model=self.manifest.base_model,
            approvals=self.approvals,
            images_granted=images_granted or {},
        )

    def view(self, terms: Terms) -> VersionView:
        """The version as it travels."""
        return VersionView(
            concept=self.concept,
            number=self.number,
            status=self.status(terms),
            manifest=self.digest,
            submitted_by=self.submitted_by,
            submitted_at=self.submitted_at,
            approvals=self.approvals,
            approvals_required=self.approvals_required,
        )
