"""Break-glass: two people open a version for a while, before its approval (`sdk.spec.break_glass`). The checks, in order:

1. The version waits for reviewers and was never opened before. The same statement again changes nothing.
2. Both who are named in the statement signed it, with keys trusted for approvals, and the caller is one of them.
3. The statement is about this manifest, this concept and number, and the terms that hold now; it ends within the time allowed,
   counted from now as well: a statement that was kept is not worth more.
4. Policy permits both. One of them may be refused for the separation of duties alone, if the other is not. A refusal is
   logged, and stays although the act does not.
5. The database: two people, not both of them those whose work it is, once, not for long.
The stored status of the version does not move: reviewers go on, and the first rejection ends it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from registry.approvals.service import context_of, log_refusal
from registry.auth import Caller
from registry.consent import service as consent
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service as versions
from registry.versions.break_glass import opened_at, opening_of, openings, record_opening
from registry.versions.lifecycle import WAITING
from registry.versions.statements import require_subject
from registry.versions.tables import BreakGlassRow
from registry.versions.version import Terms, Version
from sdk.errors import Conflict, InputError, SignatureInvalid, VerificationError
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.break_glass import MAX_HOURS, MAX_LIFE, BreakGlassPage, BreakGlassPredicate, BreakGlassView
from sdk.spec.bundle import VersionStatus
from sdk.spec.envelope import Envelope, parse_envelope
from sdk.spec.ids import ConceptId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.moments import in_utc
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Decision, PolicyPrincipal, Role
from sdk.spec.statements import parse_predicate, parse_statement

READERS: Final = (Role.REVIEWER, Role.AUDITOR, Role.OWNER, Role.TRAINER, Role.ADMIN)
OWN_WORK_RULES: Final = frozenset({"approval.not-own-training", "approval.not-own-concept", "approval.not-own-request"})
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What became of an attempt: a refusal by policy, or the break-glass as it stands."""

    refusal: Decision | None
    view: BreakGlassView | None


def open_version(
    session: Session, runtime: Runtime, caller: Caller, concept: ConceptId, number: int, envelope: Envelope
) -> Opened:
    """Record a statement that two people signed; see the module docstring for the checks.

    Raises:
        NotFound, Conflict, Erased, SignatureInvalid, VerificationError, InputError, FormatError: a check other than policy fails.
    """
    version = versions.load(session, caller.tenant, concept, number)
    consent.hold(session, version.every_consent)
    (version,) = versions.claim(session, [version])
    terms = versions.terms_of(session, version, runtime.clock())
    if row := opening_of(session, version):  # 1
        if row.envelope_digest != envelope.digest:
            raise Conflict(f"{version.name} was opened by break-glass before; a version is opened once, approve it")
        return Opened(refusal=None, view=_view(version, terms, row))
    if version.stored_status not in WAITING:
        raise Conflict(f"{version.name} is {version.stored_status.value}; a break-glass opens what waits for reviewers")
    version.require_whole(terms)
    predicate = _read(runtime, caller, version, envelope)  # 2
    _require_about(version, terms, predicate)  # 3
    if refusal := _refusal(runtime, caller, version, terms, predicate):  # 4
        log_refusal(session, runtime, caller, version, refusal)
        return Opened(refusal=refusal, view=None)
    row = _record(session, runtime, caller, version, terms, predicate, envelope)  # 5
    opened = versions.load(session, caller.tenant, concept, number)
    return Opened(refusal=None, view=_view(opened, terms, row))


def page(session: Session, runtime: Runtime, caller: Caller, query: PageQuery) -> BreakGlassPage:
    """Every break-glass of the caller's tenant, oldest first. Raises `PermissionDenied`."""
    caller.require(*READERS)
    rows, cursor = openings(session, query)
    found = tuple(_of_row(session, runtime, caller, row) for row in rows)
    return BreakGlassPage(break_glasses=found, next_cursor=cursor)


def in_force(session: Session, runtime: Runtime, caller: Caller) -> tuple[BreakGlassView, ...]:
    """What is open now in the caller's tenant; nothing to whom it is not told."""
    if not caller.roles & set(READERS):
        return ()
    now = runtime.clock()
    opened = [(version, opening_of(session, version)) for version in opened_at(session, caller.tenant, now)]
    return tuple(_view(version, versions.terms_of(session, version, now), row) for version, row in opened if row)


def of_version(session: Session, version: Version, terms: Terms) -> BreakGlassView | None:
    """The break-glass of a version, if it ever was opened."""
    row = opening_of(session, version)
    return _view(version, terms, row) if row else None


def _read(runtime: Runtime, caller: Caller, version: Version, envelope: Envelope) -> BreakGlassPredicate:
    signed = verify_role(envelope, runtime.trust_root, TrustRole.APPROVAL)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    predicate = parse_predicate(statement, BreakGlassPredicate)
    if missing := sorted(set(predicate.signers) - signed):
        raise SignatureInvalid(
            f"the break-glass of {version.name} lacks a signature by an approval key of {', '.join(missing)}; "
            "both who are named in it sign it"
        )
    if caller.principal not in predicate.signers:
        raise VerificationError(
            f"the break-glass of {version.name} is by {' and '.join(predicate.signers)}, but was sent by {caller.principal}"
        )
    require_subject(statement, name=version.concept, digest=version.digest)
    return predicate


def _require_about(version: Version, terms: Terms, predicate: BreakGlassPredicate) -> None:
    if (predicate.concept, predicate.number) != (version.concept, version.number):
        raise VerificationError(
            f"the statement is about {predicate.concept}@{predicate.number}, but was sent about {version.name}"
        )
    if predicate.terms != terms.digest:
        raise VerificationError(
            f"the break-glass of {version.name} is under terms {predicate.terms}, but {terms.digest} hold; look again"
        )
    if not terms.at < predicate.expires_at <= terms.at + MAX_LIFE:
        raise InputError(
            f"the break-glass of {version.name} ends at {predicate.expires_at.isoformat()}, it is {terms.at.isoformat()}; "
            f"it should end later, and within {MAX_HOURS} hours"
        )


def _refusal(
    runtime: Runtime, caller: Caller, version: Version, terms: Terms, predicate: BreakGlassPredicate
) -> Decision | None:
    """The refusal that counts: any that is not for their own work, or that both are refused."""
    people = [
        caller.as_policy_principal
        if name == caller.principal
        else PolicyPrincipal(id=name, roles=(Role.REVIEWER,))  # who signed with a key for approvals is a reviewer
        for name in predicate.signers
    ]
    decisions = [runtime.policy.evaluate(context_of(who, version, terms, "break_glass")) for who in people]
    refused = [decision for decision in decisions if not decision.permitted]
    other = [d for d in refused if not {reason.rule for reason in d.reasons} <= OWN_WORK_RULES]
    if other or len(refused) == len(decisions):
        return (other or refused)[0]
    return None


def _record(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    version: Version,
    terms: Terms,
    predicate: BreakGlassPredicate,
    envelope: Envelope,
) -> BreakGlassRow:
    first, second = sorted(predicate.signers)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.VERSION_BREAK_GLASS,
        actor=caller.principal,
        subject=version.name,
        evidence={"envelope": envelope.digest, "manifest": version.digest, "terms": terms.digest},
        facts={
            "signers": f"{first} {second}",
            "expires_at": in_utc(predicate.expires_at).isoformat(),
            "approvals": f"{version.approvals} of {version.approvals_required}",
        },
    )
    row = record_opening(session, version, terms, predicate, envelope, by=caller.principal, log_index=index)
    _logger.warning("break-glass: %s opened until %s by %s and %s", version.name, row.expires_at, first, second)
    return row


def _of_row(session: Session, runtime: Runtime, caller: Caller, row: BreakGlassRow) -> BreakGlassView:
    version = versions.load(session, caller.tenant, row.concept_id, row.number)
    return _view(version, versions.terms_of(session, version, runtime.clock()), row)


def _view(version: Version, terms: Terms, row: BreakGlassRow) -> BreakGlassView:
    envelope = parse_envelope(row.envelope)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    return BreakGlassView(
        concept=row.concept_id,
        number=row.number,
        manifest=version.digest,
        signers=(row.first_signer, row.second_signer),
        opened_by=row.opened_by,
        reason=parse_predicate(statement, BreakGlassPredicate).reason,
        terms=row.terms,
        opened_at=row.opened_at,
        expires_at=row.expires_at,
        in_force=version.status(terms) is VersionStatus.BREAK_GLASS,
        envelope=envelope,
        log_index=row.log_index,
    )
