"""A version with all its proofs, as a verifier needs it; its reviews and revocation in words, as people do.

Read in a transaction that appends nothing. Words come from statements that were verified when they were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.approvals import service
from registry.approvals.tables import ReviewRow, RevocationRow, Verdict
from registry.auth import Caller
from registry.log.proofs import receipts
from registry.log.service import statements_at
from registry.runtime import Runtime
from registry.versions import renewal
from registry.versions import renewal_reading as renewals
from registry.versions import service as versions
from registry.versions.break_glass import opening_of
from registry.versions.renewal_tables import RenewalReviewRow, RenewalRow
from registry.versions.requests import requested_entry
from registry.versions.version import Terms, Version
from sdk.spec.bundle import ApprovalEvidence, BreakGlassEvidence, RenewalEvidence, VersionBundle
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.policy import Decision
from sdk.spec.statements import (
    ApprovalPredicate,
    RejectionPredicate,
    RevocationPredicate,
    parse_predicate,
    parse_statement,
)


@dataclass(frozen=True, kw_only=True)
class Act:
    """An approval, a rejection or a revocation, as a person reads it."""

    act: str  # a `Verdict`, or "revoke"
    by: PrincipalId
    words: str
    at: datetime
    log_index: int


def bundle(session: Session, runtime: Runtime, version: Version, at: datetime) -> VersionBundle:
    """Everything a verifier needs to decide about `version` under the terms that hold at the moment `at`.

    All receipts are under one checkpoint.
    """
    terms = versions.terms_of(session, version, at)
    standing = version.renewal_at(terms.at)
    if standing is None:
        return _bundle(session, runtime, version, terms, _approvals(session, version), version.manifest.consents)
    row = renewals.of_round(session, version, standing.round)
    entries = (standing.requested_entry, standing.log_index)
    return _bundle(session, runtime, version, terms, _endorsements(session, row), standing.consents, entries)


def proposed(session: Session, runtime: Runtime, version: Version) -> VersionBundle:
    """The same as it would stand under the renewal that waits for reviewers: what they verify before they sign.

    Raises:
        NotFound: none waits.
    """
    row = renewals.waiting_of(session, version)
    consents, licences = renewals.records_of(row)
    terms = renewal.terms_under(session, runtime, version, consents, licences)
    return _bundle(session, runtime, version, terms, _endorsements(session, row), consents, (row.log_index,))


_Signed = Sequence[tuple[bytes, int]]  # envelopes, each with its entry of the log


def _bundle(
    session: Session,
    runtime: Runtime,
    version: Version,
    terms: Terms,
    approvals: _Signed,
    consents: Sequence[RecordId],
    renewed: tuple[int, ...] = (),  # the entries of the renewal whose terms these are
) -> VersionBundle:
    erased = sorted(set(consents) - {consent.id for consent in terms.consents})
    opened, asked = opening_of(session, version), requested_entry(session, version)
    indices = [version.log_index, *renewed, *(index for _, index in approvals)]
    indices += [index for index in (opened.log_index if opened else None, asked) if index is not None]
    proofs = {proof.index: proof for proof in receipts(session, runtime, indices)}
    submitted = proofs[version.log_index]
    return VersionBundle(
        concept=version.concept,
        number=version.number,
        status=version.status(terms),
        owner=version.owner,
        approvals_required=version.approvals_required,
        manifest=version.content,
        training_attestation=version.attestation,
        submission_receipt=submitted,
        request_receipt=None if asked is None else proofs[asked],
        submission_statement=statements_at(session, [version.log_index]).get(version.log_index),
        approvals=tuple(
            ApprovalEvidence(envelope=parse_envelope(content), receipt=proofs[index]) for content, index in approvals
        ),
        break_glass=BreakGlassEvidence(envelope=parse_envelope(opened.envelope), receipt=proofs[opened.log_index])
        if opened
        else None,
        renewal=RenewalEvidence(request=proofs[renewed[0]], renewed=proofs[renewed[1]] if renewed[1:] else None)
        if renewed
        else None,
        consents=terms.consents,
        licences=terms.licences,
        erased=tuple(erased) or None,
        checkpoint=submitted.checkpoint,
    )


def _approvals(session: Session, version: Version) -> _Signed:
    rows = session.scalars(
        select(ReviewRow)
        .where(
            ReviewRow.concept_id == version.concept,
            ReviewRow.number == version.number,
            ReviewRow.verdict == Verdict.APPROVE.value,
        )
        .order_by(ReviewRow.log_index)
    ).all()
    return [(row.envelope, row.log_index) for row in rows]


def _endorsements(session: Session, row: RenewalRow) -> _Signed:
    given = [review for review in renewals.reviews_of(session, row) if review.verdict == Verdict.APPROVE.value]
    return [(review.envelope, review.log_index) for review in given]


def acts_on(session: Session, version: Version) -> Sequence[Act]:
    """Everything that was signed about `version` itself, oldest first; about its renewals: `acts_on_renewal`."""
    same = (ReviewRow.concept_id == version.concept, ReviewRow.number == version.number)
    acts = [_act(row) for row in session.scalars(select(ReviewRow).where(*same).order_by(ReviewRow.log_index))]
    if ended := session.get(RevocationRow, (version.concept, version.number)):
        words = _words(ended.envelope)
        acts.append(Act(act="revoke", by=ended.revoked_by, words=words, at=ended.revoked_at, log_index=ended.log_index))
    return acts


def acts_on_renewal(session: Session, row: RenewalRow) -> Sequence[Act]:
    """Everything that was signed about a renewal, oldest first."""
    return [_act(review) for review in renewals.reviews_of(session, row)]


def approvals_under(session: Session, version: Version, terms: Terms) -> Sequence[Act]:
    """The approvals of the terms that held at the moment of `terms`: of a renewal, or the first."""
    standing = version.renewal_at(terms.at)
    if standing is None:
        acts = acts_on(session, version)
    else:
        acts = acts_on_renewal(session, renewals.of_round(session, version, standing.round))
    return [act for act in acts if act.act == Verdict.APPROVE.value]


def foresee(
    runtime: Runtime, caller: Caller, version: Version, terms: Terms, action: str = Verdict.APPROVE.value
) -> Decision:
    """What policy would say if the caller sent an approval now. Nothing is recorded."""
    return runtime.policy.evaluate(service.context_of(caller.as_policy_principal, version, terms, action))


def _act(row: ReviewRow | RenewalReviewRow) -> Act:
    words = _words(row.envelope)
    return Act(act=row.verdict, by=row.reviewer, words=words, at=row.reviewed_at, log_index=row.log_index)


def _words(content: bytes) -> str:
    envelope = parse_envelope(content)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    match statement.predicate_type:
        case ApprovalPredicate.predicate_type:
            return parse_predicate(statement, ApprovalPredicate).comment
        case RejectionPredicate.predicate_type:
            return parse_predicate(statement, RejectionPredicate).reason
        case _:
            return parse_predicate(statement, RevocationPredicate).reason
