"""Reviews and revocations. The checks, in order:

1. The version is there, and its consents are held, so that none is withdrawn while this is decided; nothing is approved
   when one of them is erased.
2. Policy, with separation of duties first. A refusal is logged, and the log entry stays although the act does not.
   What is refused only because the version has moved on is no breach but a Conflict, and is not logged.
3. The caller signed the statement with a key trusted for approvals.
4. The statement is about this manifest, this concept and number, and by the caller; an approval names the terms that
   hold now.
5. The database: one review a reviewer, no reviewer who owns, trained or asked, as many as required, the state still the
   one that was decided on.
Then the state moves, and at the threshold an earlier approved version is superseded: all of it in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from registry.approvals import signed
from registry.approvals.tables import ReviewRow, RevocationRow, Verdict
from registry.auth import Caller
from registry.consent import service as consent
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import reinstatement
from registry.versions import service as versions
from registry.versions.lifecycle import VersionEvent, advance
from registry.versions.version import Terms, Version
from sdk.errors import Conflict, NotFound
from sdk.spec.api import VersionView
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Decision, PolicyContext, PolicyDomain, PolicyPrincipal
from sdk.spec.statements import ApprovalPredicate, RejectionPredicate, RevocationPredicate

STATUS_RULES: Final = frozenset({"approval.status", "approval.revoke-status"})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an attempt: a decision, and the version as it stands if the decision permits."""

    decision: Decision | None  # none when the same envelope was recorded before
    view: VersionView | None


def review(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, envelope: Envelope
) -> Outcome:
    """Record a signed approval or rejection; see the module docstring for the checks.

    Raises:
        NotFound, Conflict, Erased, SignatureInvalid, VerificationError, FormatError: a check other than policy fails.
    """
    version = versions.load(session, caller.tenant, concept, number)  # 1
    verdict = signed.verdict_of(envelope)
    if _recorded(session, version, caller, envelope):
        return Outcome(decision=None, view=_view(session, runtime, version))
    consent.hold(session, version.every_consent)
    terms = versions.terms_of(session, version, runtime.clock())
    if verdict is Verdict.APPROVE:
        version.require_whole(terms)
    decision = _decide(session, runtime, caller, version, terms, verdict.value)  # 2
    if not decision.permitted:
        return Outcome(decision=decision, view=None)
    if verdict is Verdict.APPROVE:
        approval = signed.verify_statement(runtime, caller, version, envelope, ApprovalPredicate)
        signed.require_terms(version, terms, approval)
        _approve(session, runtime, caller, version, terms, envelope)
    else:
        signed.verify_statement(runtime, caller, version, envelope, RejectionPredicate)
        _reject(session, runtime, caller, version, envelope)
    return Outcome(decision=decision, view=_view(session, runtime, version))


def revoke(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, envelope: Envelope
) -> Outcome:
    """Record a signed revocation, which is final. Raises like `review`."""
    version = versions.load(session, caller.tenant, concept, number)  # 1
    earlier = session.get(RevocationRow, (concept, number))
    if earlier and earlier.envelope_digest == envelope.digest:
        return Outcome(decision=None, view=_view(session, runtime, version))
    terms = versions.terms_of(session, version, runtime.clock())
    decision = _decide(session, runtime, caller, version, terms, "revoke")  # 2
    if not decision.permitted:
        return Outcome(decision=decision, view=None)
    signed.verify_statement(runtime, caller, version, envelope, RevocationPredicate)
    _revoke(session, runtime, caller, version, envelope)
    return Outcome(decision=decision, view=_view(session, runtime, version))


def reinstate(session: Session, runtime: Runtime, caller: Caller, record: RecordId) -> tuple[Outcome, ...]:
    """Approve again what was suspended for want of a consent that holds again; a reviewer's act, as an approval is.

    Returns:
        One outcome for each version that is approved again, or the first refusal by policy alone.

    Raises:
        NotFound: no suspended version rests on such a consent.
        Conflict: that consent does not hold, or something else keeps the versions suspended.
    """
    consent.hold(session, reinstatement.consents_beside(session, record))  # 1
    suspended = reinstatement.suspended_resting_on(session, caller, record)
    if not suspended:
        raise NotFound(f"no suspended version rests on consent {record}; see the list of its versions")
    for version in suspended:
        terms = versions.terms_of(session, version, runtime.clock())
        decision = _decide(session, runtime, caller, version, terms, "reinstate")  # 2
        if not decision.permitted:
            return (Outcome(decision=decision, view=None),)
    back = reinstatement.reinstate_resting_on(session, runtime, caller, record)
    if not back:
        kept = ((version.name, reinstatement.what_keeps(session, runtime, version)) for version in suspended)
        raise Conflict("; ".join(f"{name} stays suspended: {why}" for name, why in kept))
    return tuple(Outcome(decision=None, view=_view(session, runtime, version)) for version in back)


def context_of(who: PolicyPrincipal, version: Version, terms: Terms, action: str) -> PolicyContext:
    """The question whether somebody may `action` the version."""
    return PolicyContext(
        domain=PolicyDomain.APPROVAL,
        action=action,
        principal=who,
        concepts=(version.facts(terms),),
        at=terms.at,
    )


def _recorded(session: Session, version: Version, caller: Caller, envelope: Envelope) -> bool:
    row = session.get(ReviewRow, (version.concept, version.number, caller.principal))
    if row and row.envelope_digest != envelope.digest:
        raise Conflict(f"{caller.principal} has reviewed {version.name} already ({row.verdict}); a review is final")
    return row is not None


def _decide(
    session: Session, runtime: Runtime, caller: Caller, version: Version, terms: Terms, action: str
) -> Decision:
    """Policy's decision; a refusal is logged in the caller's transaction, which must then be committed."""
    context = context_of(caller.as_policy_principal, version, terms, action)
    decision = runtime.policy.evaluate(context)
    if decision.permitted:
        return decision
    rules = [reason.rule for reason in decision.reasons]
    if set(rules) <= STATUS_RULES:
        advance(version.stored_status, VersionEvent(action), version.name)  # too late: Conflict
    log_refusal(session, runtime, caller, version, decision)
    return decision


def log_refusal(session: Session, runtime: Runtime, caller: Caller, version: Version, decision: Decision) -> None:
    """Log what policy refused the caller; it stays if the caller's transaction is committed."""
    log.append(
        session,
        runtime,
        event=AuditEventType.APPROVAL_REFUSED,
        actor=caller.principal,
        subject=version.name,
        evidence={"manifest": version.digest, "context": decision.context, "bundle": decision.bundle},
        facts={"action": decision.action, "rules": " ".join(reason.rule for reason in decision.reasons)},
    )


def _approve(
    session: Session, runtime: Runtime, caller: Caller, version: Version, terms: Terms, envelope: Envelope
) -> None:
    reached = version.approvals + 1 >= version.approvals_required
    earlier = versions.approved_version(session, version.tenant, version.concept) if reached else None
    if earlier:
        versions.move(session, runtime, earlier, VersionEvent.SUPERSEDE)
    versions.move(session, runtime, version, VersionEvent.APPROVE if reached else VersionEvent.ENDORSE)
    evidence = {"envelope": envelope.digest, "manifest": version.digest, "terms": terms.digest}
    index = _log(session, runtime, caller, AuditEventType.APPROVAL_SIGNED, version, evidence)
    _add_review(session, runtime, caller, version, envelope, Verdict.APPROVE, index)
    if earlier:
        replaced = {"manifest": earlier.digest, "replaced_by": version.digest}
        _log(session, runtime, caller, AuditEventType.VERSION_SUPERSEDED, earlier, replaced)
    if reached:
        _log(session, runtime, caller, AuditEventType.VERSION_APPROVED, version, evidence)


def _reject(session: Session, runtime: Runtime, caller: Caller, version: Version, envelope: Envelope) -> None:
    versions.move(session, runtime, version, VersionEvent.REJECT)
    evidence = {"envelope": envelope.digest, "manifest": version.digest}
    index = _log(session, runtime, caller, AuditEventType.VERSION_REJECTED, version, evidence)
    _add_review(session, runtime, caller, version, envelope, Verdict.REJECT, index)


def _revoke(session: Session, runtime: Runtime, caller: Caller, version: Version, envelope: Envelope) -> None:
    versions.move(session, runtime, version, VersionEvent.REVOKE)
    evidence = {"envelope": envelope.digest, "manifest": version.digest}
    index = _log(session, runtime, caller, AuditEventType.VERSION_REVOKED, version, evidence)
    session.add(
        RevocationRow(
            concept_id=version.concept,
            number=version.number,
            revoked_by=caller.principal,
            envelope=encode_envelope(envelope),
            envelope_digest=envelope.digest,
            revoked_at=runtime.clock(),
            log_index=index,
        )
    )
    session.flush()


def _add_review(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    version: Version,
    envelope: Envelope,
    verdict: Verdict,
    index: int,
) -> None:
    columns = signed.columns_of(caller, version, envelope, verdict)
    session.add(ReviewRow(**columns, requested_by=version.requester, reviewed_at=runtime.clock(), log_index=index))
    session.flush()


def _log(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    event: AuditEventType,
    version: Version,
    evidence: dict[str, Digest],
) -> int:
    return log.append(session, runtime, event=event, actor=caller.principal, subject=version.name, evidence=evidence)


def _view(session: Session, runtime: Runtime, version: Version) -> VersionView:
    """The version as it stands now, after what this transaction did."""
    now = versions.load(session, version.tenant, version.concept, version.number)
    return now.view(versions.terms_of(session, now, runtime.clock()))
