"""A reference as it was at a moment: which version it meant, and where that stood. Reads only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from registry.consent.history import statuses_at
from registry.runtime import Runtime
from registry.versions import history, service
from registry.versions.lifecycle import status_at
from registry.versions.version import Version
from sdk.errors import InputError, NotFound
from sdk.spec.api import VersionAt
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import ConceptId, TenantName, VersionRef


def require_past(runtime: Runtime, at: datetime) -> None:
    """Return if `at` has come. Raises `InputError`: what is answered about a moment must not change afterwards."""
    if at > (now := runtime.clock()):
        raise InputError(
            f"{at.isoformat()} has not come yet, it is {now:%Y-%m-%dT%H:%M:%SZ}; ask about a moment before"
        )


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
    over = service.terms_of(session, version, at).are_over
    named, _ = history.aliases_at(session, tenant, at, version.concept)
    return VersionAt(
        ref=str(ref),
        at=at,
        concept=version.concept,
        number=version.number,
        manifest=version.digest,
        status=status_at(VersionStatus(stood.status), term_is_over=over),
        since=stood.since,
        aliases=tuple(view.alias for view in named if view.number == version.number),
        consents=dict(statuses_at(session, tenant, version.manifest.consents, at)),
    )


def approved_numbers(
    session: Session, tenant: TenantName, at: datetime, concept: ConceptId | None = None
) -> dict[ConceptId, int]:
    """The approved version of each concept at the moment `at`, without those whose term was over."""
    found = history.approved_at(session, tenant, at, concept)
    versions = [service.load(session, tenant, name, number) for name, number in found.items()]
    return {v.concept: v.number for v in versions if not service.terms_of(session, v, at).are_over}


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
