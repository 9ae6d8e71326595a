"""Asking for the review of a version: what takes a draft into the queue. Who asked cannot approve it.

A version that was submitted as no draft has its request from the start: that of whoever asked for its training.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import service as consent
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import ReviewRequestRow
from registry.versions.version import Version
from sdk.errors import Conflict, PermissionDenied
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Role


def request_review(session: Session, runtime: Runtime, caller: Caller, version: Version) -> Version:
    """Put a draft up for review, in the name of the caller; returns it as it stands then.

    Raises:
        PermissionDenied: the caller neither owns the concept nor had the version trained.
        Conflict: it is no draft any more.
        Erased: a consent that it rests on was erased.
    """
    if caller.principal not in (version.owner, version.trainer_of_record):
        raise PermissionDenied(
            f"{version.name} is put up for review by its owner, {version.owner}, or by {version.trainer_of_record}, "
            f"who had it trained; {caller.principal} is neither"
        )
    caller.require(Role.OWNER, Role.TRAINER)
    consent.hold(session, version.every_consent)
    version.require_whole(service.terms_of(session, version, runtime.clock()))
    service.move(session, runtime, version, VersionEvent.SUBMIT)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.REVIEW_REQUESTED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest},
    )
    record_request(session, runtime, version.concept, version.number, by=caller.principal, log_index=index)
    return service.load(session, version.tenant, version.concept, version.number)


def record_request(
    session: Session, runtime: Runtime, concept: ConceptId, number: int, *, by: PrincipalId, log_index: int
) -> None:
    """Keep who asked for the review of a version, with the log entry that says so."""
    session.add(
        ReviewRequestRow(
            concept_id=concept, number=number, requested_by=by, requested_at=runtime.clock(), log_index=log_index
        )
    )
    session.flush()


def requested_entry(session: Session, version: Version) -> int | None:
    """The entry of the log that says who asked for the review of a draft; none of what was submitted as no draft."""
    row = session.get(ReviewRequestRow, (version.concept, version.number))
    return row.log_index if row and row.log_index != version.log_index else None


def requested_at(session: Session, version: Version) -> datetime:
    """When the review of `version` was asked for. Raises `Conflict` while it was not."""
    row = session.get(ReviewRequestRow, (version.concept, version.number))
    if row is None:
        raise Conflict(f"{version.name} is a draft; its review must be asked for first")
    return row.requested_at
