"""Renewal: asking that a version stand under other records than now, and what becomes of it. Verdicts: `approvals.renewal`.

Rules:
1. What is approved or suspended is renewed. The terms that hold go on to hold until reviewers have approved the others.
2. The records are of the same people: for every consent now there is one about the same person, and about nobody else.
   Each of them counts from the moment on at which the renewal can begin (`Terms.at`): when all of their terms run.
3. What is suspended has no terms that hold meanwhile: it is renewed only under terms that run already.
4. Rounds are asked for, decided and counted one at a time: the consents are held, then the version is claimed. The newest
   round is the only one that can wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import evidence
from registry.consent import service as consent
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import RENEWABLE, VersionEvent
from registry.versions.renewal_reading import newest_of, records_of
from registry.versions.renewal_tables import RenewalRow, RenewedTermsRow
from registry.versions.tables import VersionConsentRow
from registry.versions.version import Terms, Version
from sdk.errors import Conflict, InputError, PermissionDenied
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.moments import in_utc
from sdk.spec.policy import Role
from sdk.spec.renewal import RenewalRequest, facts_of
from sdk.spec.terms import AgeClass, ConsentEvidence


def ask(session: Session, runtime: Runtime, caller: Caller, version: Version, wanted: RenewalRequest) -> RenewalRow:
    """Put a version up for review under other records; a renewal that waits is replaced by this one.

    Raises:
        PermissionDenied: the caller neither owns the concept nor had the version trained.
        NotFound: a record is not there.
        Conflict: the version is neither approved nor suspended, or stands under these records already.
        InputError: a record is not fit for it; the message says which, and why.
    """
    _require_may_ask(caller, version)
    version = claim(session, version, wanted.consents)
    records = _once(wanted.consents), _once(wanted.licences)
    terms = terms_under(session, runtime, version, *records)
    _require_fit(session, version, terms, runtime.clock())
    newest = newest_of(session, version)
    number = (newest.round if newest else 0) + 1
    kind, minor = version.manifest.kind, version.facts(terms).has_minor
    required = max(version.approvals_required, runtime.risk_classes.of(kind, minor=minor).approvals)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.RENEWAL_REQUESTED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest, "terms": terms.digest},
        facts=facts_of(number, *records) | {"approvals_required": str(required)},
    )
    row = RenewalRow(
        concept_id=version.concept,
        number=version.number,
        round=number,
        consents=[str(record) for record in records[0]],
        licences=[str(record) for record in records[1]],
        terms=terms.digest,
        approvals_required=required,
        requested_by=caller.principal,
        requested_at=runtime.clock(),
        log_index=index,
    )
    session.add(row)
    session.flush()
    return row


def claim(session: Session, version: Version, consents: Iterable[RecordId]) -> Version:
    """Hold the consents, those of the version too, and let nobody else decide on it (rule 4); returns it as it is now."""
    consent.hold(session, version.every_consent.union(consents))
    (claimed,) = service.claim(session, [version])
    if claimed.every_consent != version.every_consent:
        raise Conflict(f"{version.name} was renewed at the same moment; look again")
    return claimed


def terms_under(
    session: Session, runtime: Runtime, version: Version, consents: Sequence[RecordId], licences: Sequence[RecordId]
) -> Terms:
    """These records, at the moment from which on a renewal approved now would hold. Raises `NotFound`."""
    now = runtime.clock()
    held = evidence.licences_of(session, version.tenant, licences)
    given = evidence.consents_of(session, version.tenant, consents, now)
    begins = [each.record.terms.valid_from for each in given] + [each.grant.terms.valid_from for each in held]
    at = max(now, *begins)
    return Terms(consents=evidence.consents_of(session, version.tenant, consents, at), licences=held, at=at)


def put_in_force(
    session: Session, runtime: Runtime, caller: Caller, version: Version, row: RenewalRow, terms: Terms
) -> None:
    """Let the terms of a renewal hold from their moment on, and bring back what was suspended. The version is claimed.

    Raises:
        Conflict: it is suspended, and another version of its concept is approved or its terms do not run yet.
    """
    if version.stored_status is VersionStatus.SUSPENDED:
        require_alone(session, version, terms, runtime.clock())
        service.move(session, runtime, version, VersionEvent.REINSTATE)
    consents, licences = records_of(row)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.VERSION_RENEWED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest, "terms": row.terms},
        facts=facts_of(row.round, consents, licences) | {"since": in_utc(terms.at).isoformat()},
    )
    same = {"concept_id": version.concept, "number": version.number}
    session.add(
        RenewedTermsRow(
            **same,
            round=row.round,
            since=terms.at,
            renewed_by=caller.principal,
            renewed_at=runtime.clock(),
            log_index=index,
        )
    )
    for record in consents:
        session.execute(insert(VersionConsentRow).values(**same, consent_id=record).on_conflict_do_nothing())
    session.flush()


def require_alone(session: Session, version: Version, terms: Terms, now: datetime) -> None:
    """Return if a suspended version may come back under `terms` (rule 3). Raises `Conflict`."""
    if terms.at > now:
        raise Conflict(f"{version.name} is suspended, and these terms begin at {terms.at.isoformat()}; renew it then")
    if other := service.approved_version(session, version.tenant, version.concept):
        raise Conflict(f"{other.name} is approved, so {version.name} stays suspended; revoke that one first")


def _require_may_ask(caller: Caller, version: Version) -> None:
    if caller.principal not in (version.owner, version.trainer_of_record):
        raise PermissionDenied(
            f"the renewal of {version.name} is asked for by its owner, {version.owner}, or by {version.trainer_of_record}, "
            f"who had it trained; {caller.principal} is neither"
        )
    caller.require(Role.OWNER, Role.TRAINER)


def _require_fit(session: Session, version: Version, terms: Terms, now: datetime) -> None:
    if version.stored_status not in RENEWABLE:
        raise Conflict(f"{version.name} is {version.stored_status.value}; what is approved or suspended is renewed")
    if version.stored_status is VersionStatus.SUSPENDED:
        require_alone(session, version, terms, now)
    standing = service.terms_of(session, version, now)
    if terms.digest == standing.digest:
        raise Conflict(f"{version.name} stands under these very records already; name those that are new")
    _require_same_people(version, standing.consents, terms.consents)
    for consent_ in terms.consents:
        if not consent_.live_at(terms.at):
            raise InputError(f"consent {consent_.id} is {consent_.status.value} or outside its term at {terms.at}")
    for licence in terms.licences:
        if not licence.grant.terms.live_at(terms.at):
            raise InputError(f"the term of licence {licence.id} is over at {terms.at}")
    covering = [(each.id, each.record.covers) for each in terms.consents]
    for record, covers in covering + [(each.id, each.grant.covers) for each in terms.licences]:
        if version.concept not in covers:
            raise InputError(f"{record} does not name {version.concept}; record one that does")


def _require_same_people(
    version: Version, standing: Sequence[ConsentEvidence], wanted: Sequence[ConsentEvidence]
) -> None:
    """A version shows whom it shows; whose works it shows may change hands."""
    before, after = _people(standing), _people(wanted)
    if before != after:
        raise InputError(
            f"the consents of {version.name} are about {len(before)} people, and those named are not about the same, of the "
            "same age when the pictures were taken; record a consent of each person under their pseudonym"
        )


def _people(consents: Iterable[ConsentEvidence]) -> frozenset[tuple[str, AgeClass]]:
    records = [held.record for held in consents]
    return frozenset((r.subject, r.age_class) for r in records if r.age_class is not AgeClass.NOT_A_PERSON)


def _once(records: Iterable[RecordId]) -> tuple[RecordId, ...]:
    return tuple(dict.fromkeys(records))
