"""A reference as it was at a moment: which version it meant, and where that stood. Reads only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from registry.consent.history import statuses_at
from registry.policies import digest_at
from registry.runtime import Runtime, require_past
from registry.versions import history, service
from registry.versions.lifecycle import status_at
from registry.versions.version import Version
from sdk.errors import NotFound
from sdk.spec.api import VersionAt
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, TenantName, VersionRef
from sdk.spec.terms import ConsentStatus


def version_at(session: Session, runtime: Runtime, tenant: TenantName, ref: VersionRef, at: datetime) -> VersionAt:
    """What `ref` meant at the moment `at`, and where that version stood.

    Raises:
        NotFound: it meant no version of `tenant` at that moment.
        InputError: the moment has not come.
    """
    require_past(runtime, at)
    version = _meant(session, tenant, ref, at)
    stood = history.status_row_at(session, version.concept, version.number, at)
    if stood is None:
        raise NotFound(f"{version.name} was not submitted yet at {at.isoformat()}")
    terms = service.terms_of(session, version, at)
    consents = statuses_at(session, tenant, version.consents_at(at), at)
    due = ConsentStatus.RECONFIRMATION_DUE in consents.values()
    given = all(status is ConsentStatus.GIVEN for status in consents.values()) and not terms.are_over
    named, _ = history.aliases_at(session, tenant, at, version.concept)
    return VersionAt(
        ref=str(ref),
        at=at,
        concept=version.concept,
        number=version.number,
        manifest=version.digest,
        status=status_at(
            VersionStatus(stood.status),
            term_is_over=terms.are_over,
            consent_is_due=due,
            is_opened=given and version.opens(terms),
        ),
        since=stood.since,
        aliases=tuple(view.alias for view in named if view.number == version.number),
        policies=digest_at(session, at),
        consents=dict(consents),
        licences=version.licences_at(at),
    )


def approved_numbers(
    session: Session, tenant: TenantName, at: datetime, concept: ConceptId | None = None
) -> dict[ConceptId, int]:
    """The approved version of each concept at the moment `at`, without those that the clock had ended or suspended."""
    found = history.approved_at(session, tenant, at, concept)
    versions = [service.load(session, tenant, name, number) for name, number in found.items()]
    return {v.concept: v.number for v in versions if _stood(session, v, at)}


def _stood(session: Session, version: Version, at: datetime) -> bool:
    statuses = statuses_at(session, version.tenant, version.consents_at(at), at)
    due = ConsentStatus.RECONFIRMATION_DUE in statuses.values()
    return not due and not service.terms_of(session, version, at).are_over


def _meant(session: Session, tenant: TenantName, ref: VersionRef, at: datetime) -> Version:
    if ref.number or ref.manifest_digest:
        return service.resolve(session, tenant, ref)
    if ref.alias:
        number = history.named_by(session, tenant, ref.concept, ref.alias, at)
    else:
        number = history.approved_at(session, tenant, at, ref.concept).get(ref.concept)
    if number is None:
        raise NotFound(f"{ref} meant no version at {at.isoformat()}")
    return service.load(session, tenant, ref.concept, number)
