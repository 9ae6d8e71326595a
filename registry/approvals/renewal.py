"""Verdicts on a renewal: other terms for a version that is approved or suspended. The checks, in order:

1. A renewal waits. Its consents and those that hold now are held, and the version is claimed (`versions.renewal`, rule 4).
   The same envelope again changes nothing.
2. Policy: `renew` for an approval, `reject_renewal` for a rejection, asked about the other terms at the moment from which on they
   would hold. A refusal is logged, and the log entry stays although the act does not.
3. The caller signed the statement with a key trusted for approvals; it is about this manifest, this concept and number, by
   the caller, and names the terms of this renewal.
4. The database: one review a reviewer, no reviewer who owns, trained or asked, as many as required before the terms hold.
At the threshold the terms hold (`versions.renewal.put_in_force`), all in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from registry.approvals import service, signed
from registry.approvals.tables import Verdict
from registry.auth import Caller
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import renewal, renewal_reading
from registry.versions import service as versions
from registry.versions.renewal_tables import RenewalReviewRow, RenewalRow
from registry.versions.version import Version
from sdk.errors import Conflict, VerificationError
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Decision
from sdk.spec.renewal import RenewalView
from sdk.spec.statements import ApprovalPredicate, RejectionPredicate

_ACTION_OF = {Verdict.APPROVE: "renew", Verdict.REJECT: "reject_renewal"}
_LOGGED_AS = {Verdict.APPROVE: AuditEventType.RENEWAL_SIGNED, Verdict.REJECT: AuditEventType.RENEWAL_REJECTED}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an attempt: a refusal by policy, or the renewal as it stands."""

    refusal: Decision | None
    view: RenewalView | None


def review(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, envelope: Envelope
) -> Outcome:
    """Record a signed verdict on the renewal that waits; see the module docstring for the checks.

    Raises:
        NotFound, Conflict, SignatureInvalid, VerificationError, FormatError: a check other than policy fails.
    """
    version = versions.load(session, caller.tenant, concept, number)
    if known := _recorded(session, caller, version, envelope):  # 1
        return Outcome(refusal=None, view=renewal_reading.view_of(session, runtime, version, known))
    consents, licences = renewal_reading.records_of(renewal_reading.waiting_of(session, version))
    version = renewal.claim(session, version, consents)
    row = renewal_reading.waiting_of(session, version)
    if renewal_reading.records_of(row) != (consents, licences):
        raise Conflict(f"another renewal of {version.name} was asked for at the same moment; look again")
    verdict = signed.verdict_of(envelope)
    terms = renewal.terms_under(session, runtime, version, consents, licences)
    asked = replace(version, review_requested_by=row.requested_by)
    question = service.context_of(caller.as_policy_principal, asked, terms, _ACTION_OF[verdict])
    decided = runtime.policy.evaluate(question)  # 2
    if not decided.permitted:
        service.log_refusal(session, runtime, caller, version, decided)
        return Outcome(refusal=decided, view=None)
    _verify(runtime, caller, version, row, verdict, envelope)  # 3
    _record(session, runtime, caller, version, row, verdict, envelope)  # 4
    given = [each.verdict for each in renewal_reading.reviews_of(session, row)].count(Verdict.APPROVE.value)
    if verdict is Verdict.APPROVE and given >= row.approvals_required:
        renewal.put_in_force(session, runtime, caller, version, row, terms)
    now = versions.load(session, caller.tenant, concept, number)
    return Outcome(refusal=None, view=renewal_reading.view_of(session, runtime, now, row))


def _recorded(session: Session, caller: Caller, version: Version, envelope: Envelope) -> RenewalRow | None:
    """The newest renewal, if the caller sent this very envelope about it before."""
    row = renewal_reading.newest_of(session, version)
    if row is None:
        return None
    key = (version.concept, version.number, row.round, caller.principal)
    earlier = session.get(RenewalReviewRow, key)
    if earlier and earlier.envelope_digest != envelope.digest:
        raise Conflict(
            f"{caller.principal} has reviewed renewal {row.round} of {version.name} already ({earlier.verdict}); "
            "a review is final"
        )
    return row if earlier else None


def _verify(
    runtime: Runtime, caller: Caller, version: Version, row: RenewalRow, verdict: Verdict, envelope: Envelope
) -> None:
    said: ApprovalPredicate | RejectionPredicate
    if verdict is Verdict.APPROVE:
        said = signed.verify_statement(runtime, caller, version, envelope, ApprovalPredicate)
    else:
        said = signed.verify_statement(runtime, caller, version, envelope, RejectionPredicate)
    if said.terms != row.terms:
        raise VerificationError(
            f"the statement about {version.name} is about terms {said.terms}, but the renewal that waits is under "
            f"{row.terms}; look again, and name them"
        )


def _record(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    version: Version,
    row: RenewalRow,
    verdict: Verdict,
    envelope: Envelope,
) -> None:
    evidence: dict[str, Digest] = {"envelope": envelope.digest, "manifest": version.digest, "terms": row.terms}
    index = log.append(
        session,
        runtime,
        event=_LOGGED_AS[verdict],
        actor=caller.principal,
        subject=version.name,
        evidence=evidence,
        facts={"round": str(row.round)},
    )
    session.add(
        RenewalReviewRow(
            **signed.columns_of(caller, version, envelope, verdict),
            round=row.round,
            requested_by=row.requested_by,
            reviewed_at=runtime.clock(),
            log_index=index,
        )
    )
    session.flush()
