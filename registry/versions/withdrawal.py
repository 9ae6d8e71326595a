"""A consent ends or falls due, and every approved version that rests on it is suspended: one act, one transaction.

A withdrawal also suspends what rested on the consent before it was renewed: the person said no. Anything else that happens to
such a consent changes nothing any more.

Rows are held before the log is: consents in the order of their ids, then versions; whoever appends waits for no row.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import answers, evidence, subjects
from registry.consent import service as consent
from registry.consent.service import Recorded
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.lifecycle import VersionEvent
from registry.versions.tables import VersionConsentRow, VersionStateRow
from sdk.errors import InputError
from sdk.spec.bundle import VersionStatus
from sdk.spec.consent_events import SPEAKS_NO_MORE, ConsentAnswer, LifeEventReport
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.terms import ConsentStatus


def withdraw_consent(session: Session, runtime: Runtime, caller: Caller, record: RecordId, reason: str) -> Recorded:
    """Withdraw a consent and suspend what rests on it. Raises like `consent.service.withdraw`."""
    consent.claim(session, caller, record)
    resting = _hold_approved(session, [record])
    withdrawn = consent.withdraw(session, runtime, caller, record, reason)
    _suspend(session, runtime, caller, resting, {record: withdrawn})
    return withdrawn


def report_life_event(
    session: Session, runtime: Runtime, caller: Caller, report: LifeEventReport
) -> tuple[Sequence[Recorded], tuple[str, ...], tuple[PrincipalId, ...]]:
    """Ask anew for every consent about the person, suspend what rests on them, end the bindings that are over.

    Returns:
        The consents, the names of the versions that were suspended, and whose bindings ended.

    Raises:
        PermissionDenied, NotFound, InputError: like `consent.answers.claim_standing` and `ask_anew`.
    """
    if report.happened_on > runtime.clock().date():
        raise InputError(f"happened_on is {report.happened_on}, which has not come; report it when it has")
    due = answers.claim_standing(session, runtime, caller, report.pseudonym)
    resting = _standing(session, runtime, caller, _hold_approved(session, due))
    asked = {record: answers.ask_anew(session, runtime, caller, record, report) for record in due}
    suspended = _suspend(session, runtime, caller, resting, asked)
    released = subjects.release_after(session, runtime, caller, report.pseudonym, SPEAKS_NO_MORE[report.event])
    return tuple(asked.values()), suspended, released


def answer_consent(
    session: Session, runtime: Runtime, caller: Caller, record: RecordId, given: ConsentAnswer
) -> Recorded:
    """Record an answer. What the clock had suspended stays so until it is reviewed. Raises like `consent.answers.answer`."""
    consent.claim(session, caller, record)
    [before] = evidence.consents_of(session, caller.tenant, [record], runtime.clock())
    due = before.status is ConsentStatus.RECONFIRMATION_DUE
    resting = _standing(session, runtime, caller, _hold_approved(session, [record])) if due else {}
    answered = answers.answer(session, runtime, caller, record, given)
    _suspend(session, runtime, caller, resting, {record: answered})
    return answered


def _suspend(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    resting: dict[tuple[ConceptId, int], RecordId],
    acts: dict[RecordId, Recorded],
) -> tuple[str, ...]:
    names = []
    for (concept, number), record in resting.items():
        version = service.load(session, caller.tenant, concept, number)
        service.move(session, runtime, version, VersionEvent.SUSPEND)
        log.append(
            session,
            runtime,
            event=AuditEventType.VERSION_SUSPENDED,
            actor=caller.principal,
            subject=version.name,
            evidence={"manifest": version.digest, "consent": acts[record].digest},
            facts={"consent": record},
        )
        names.append(version.name)
    return tuple(names)


def _hold_approved(session: Session, records: Sequence[RecordId]) -> dict[tuple[ConceptId, int], RecordId]:
    """The approved versions that rest on one of these consents, held, each with one consent that it rests on."""
    same = (VersionConsentRow.concept_id == VersionStateRow.concept_id) & (
        VersionConsentRow.number == VersionStateRow.number
    )
    statement = (
        select(VersionStateRow.concept_id, VersionStateRow.number, VersionConsentRow.consent_id)
        .join(VersionConsentRow, same)
        .where(VersionConsentRow.consent_id.in_(records), VersionStateRow.status == VersionStatus.APPROVED.value)
        .order_by(VersionStateRow.concept_id, VersionStateRow.number, VersionConsentRow.consent_id)
        .with_for_update(of=VersionStateRow, key_share=True)
    )
    return {(concept, number): record for concept, number, record in session.execute(statement).all()}


def _standing(
    session: Session, runtime: Runtime, caller: Caller, resting: dict[tuple[ConceptId, int], RecordId]
) -> dict[tuple[ConceptId, int], RecordId]:
    """Those of these versions that rest on the consent now, or will when a renewal begins."""
    now = runtime.clock()
    found = {}
    for (concept, number), record in resting.items():
        version = service.load(session, caller.tenant, concept, number)
        coming = [renewal for renewal in version.renewals if renewal.since > now]
        if record in version.consents_at(now) or any(record in renewal.consents for renewal in coming):
            found[concept, number] = record
    return found
