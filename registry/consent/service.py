"""Recording consents and licences, and withdrawing a consent. Other events: `answers`. Reading both: `evidence`.

Rules:
1. A record is known by its content: the same record given again is the same record, with the same id.
2. Whoever decides on a consent holds it (`hold`) before reading it, so that a withdrawal comes wholly before or wholly
   after the decision. Rows are held before the log is appended to: consents in the order of their ids, then versions,
   then licences under which something is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import subjects
from registry.consent.evidence import consents_of, no_consent
from registry.consent.lifecycle import advance, first_event
from registry.consent.tables import ConsentRow, ConsentWithdrawalRow, LicenceRow, RecordRow
from registry.log import service as log
from registry.runtime import Runtime
from sdk.errors import Conflict, InputError
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import ConsentEvent
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Role
from sdk.spec.recorded import ConsentPredicate
from sdk.spec.statements import encode_statement
from sdk.spec.terms import AgeClass, Capacity, ConsentRecord, LicenceGrant
from sdk.spec.texts import Salt

_HOLD: Final = text("SELECT id FROM consents WHERE id = ANY(:ids) ORDER BY id FOR SHARE")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A record and where the log has it."""

    id: RecordId
    digest: Digest
    log_index: int


def give_consent(session: Session, runtime: Runtime, caller: Caller, record: ConsentRecord) -> Recorded:
    """Record an act of consent, or its refusal.

    Raises:
        PermissionDenied: the caller is no owner.
        InputError: it is about concepts of another tenant, has no salt, or does not say when a minor comes of age.
    """
    caller.require(Role.OWNER)
    require_salt(record.salt)
    _require_own(caller, record.covers)
    if record.age_class is AgeClass.MINOR and record.of_age_on is None:
        raise InputError("of_age_on is missing: on that day the consent for a minor has to be confirmed anew")
    event = AuditEventType.CONSENT_REFUSED if record.refused else AuditEventType.CONSENT_GIVEN
    return _record(session, runtime, caller, record, "con", ConsentRow, event)


def grant_licence(session: Session, runtime: Runtime, caller: Caller, grant: LicenceGrant) -> Recorded:
    """Record a licence. Raises like `give_consent`; `InputError` also without a document by which somebody grants for another."""
    caller.require(Role.OWNER)
    _require_own(caller, grant.covers)
    if grant.capacity is not Capacity.SELF and grant.authority is None:
        raise InputError(f"authority is missing: name the document by which the {grant.capacity.value} may grant this")
    return _record(session, runtime, caller, grant, "lic", LicenceRow, AuditEventType.LICENCE_GRANTED)


def require_salt(salt: Salt | None) -> None:
    """Return if a record about a person carries a salt. Raises `InputError`: the log keeps its digest for ever."""
    if salt is None:
        raise InputError(
            "salt is missing: 16 random bytes as 32 hex digits, new for each record; without it whoever has the log "
            "could guess what the digest is of (imprimatur's own clients add one)"
        )


def claim(session: Session, caller: Caller, consent: RecordId) -> ConsentRow:
    """Hold a consent for an event of it; decisions on it wait from here on.

    Raises:
        PermissionDenied: the caller may not record events of consents.
        NotFound: the caller's tenant has no such consent, or it is about somebody else than the subject who calls.
    """
    caller.require(Role.OWNER, Role.REVIEWER, Role.SUBJECT)
    statement = select(ConsentRow).where(ConsentRow.id == consent, ConsentRow.tenant == caller.tenant)
    row = session.scalar(statement.with_for_update(key_share=True))
    if not caller.roles & {Role.OWNER, Role.REVIEWER}:
        subjects.require_own(session, caller, row.subject if row else None, f"consent {consent}")
    if row is None:
        raise no_consent(caller.tenant, consent)
    return row


def withdraw(session: Session, runtime: Runtime, caller: Caller, consent: RecordId, reason: str) -> Recorded:
    """End a consent for good. What rests on it is `versions.withdrawal`.

    Raises:
        PermissionDenied, NotFound: like `claim`.
        Conflict: it was withdrawn before, or refused.
    """
    digest = claim(session, caller, consent).digest
    if earlier := session.get(ConsentWithdrawalRow, consent):
        raise Conflict(f"consent {consent} was withdrawn at {earlier.withdrawn_at} by {earlier.withdrawn_by}")
    [held] = consents_of(session, caller.tenant, [consent], runtime.clock())
    advance(held.status, ConsentEvent.WITHDRAW, f"consent {consent}")
    index = log.append(
        session,
        runtime,
        event=AuditEventType.CONSENT_WITHDRAWN,
        actor=caller.principal,
        subject=consent,
        evidence={"record": digest},
        statement=statement_of(runtime, caller, consent, digest, ConsentEvent.WITHDRAW),
    )
    session.add(
        ConsentWithdrawalRow(
            consent_id=consent,
            reason=reason,
            withdrawn_by=caller.principal,
            withdrawn_at=runtime.clock(),
            log_index=index,
        )
    )
    session.flush()
    return Recorded(id=consent, digest=digest, log_index=index)


def statement_of(
    runtime: Runtime,
    caller: Caller,
    consent: RecordId,
    record: Digest,
    event: ConsentEvent,
    *,
    covers: tuple[ConceptId, ...] = (),
    act: Digest | None = None,
) -> bytes:
    """What the registry states about an event of a consent."""
    predicate = ConsentPredicate(
        consent=consent,
        event=event,
        covers=covers,
        act=act,
        recorded_by=caller.principal,
        recorded_at=runtime.clock(),
    )
    return encode_statement(predicate, subjects={str(consent): record})


def hold(session: Session, consents: Iterable[RecordId]) -> None:
    """Keep these consents from being withdrawn until the transaction ends (rule 2)."""
    session.execute(_HOLD, {"ids": sorted(set(consents))}).all()


def claim_licences(session: Session, licences: Iterable[RecordId]) -> None:
    """Let nobody else count under these licences until the transaction ends (rule 2)."""
    statement = select(LicenceRow.id).where(LicenceRow.id.in_(set(licences))).order_by(LicenceRow.id)
    session.execute(statement.with_for_update(key_share=True)).all()


def _record(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    value: ConsentRecord | LicenceGrant,
    prefix: str,
    table: type[RecordRow],
    event: AuditEventType,
) -> Recorded:
    content = encode_canonical(value)
    digest = Digest.of(content)
    identity = RecordId.derive(prefix, caller.tenant, digest)
    if known := session.get(table, identity):
        return Recorded(id=known.id, digest=known.digest, log_index=known.log_index)
    facts = {"covers": " ".join(value.covers)}
    stated = None
    if isinstance(value, ConsentRecord):
        stated = statement_of(runtime, caller, identity, digest, first_event(value), covers=value.covers)
    index = log.append(
        session,
        runtime,
        event=event,
        actor=caller.principal,
        subject=identity,
        evidence={"record": digest},
        facts=facts,
        statement=stated,
    )
    session.add(
        table(
            id=identity,
            tenant=caller.tenant,
            digest=digest,
            content=content,
            recorded_by=caller.principal,
            recorded_at=runtime.clock(),
            log_index=index,
            **({"subject": value.subject} if isinstance(value, ConsentRecord) else {}),
        )
    )
    session.flush()
    return Recorded(id=identity, digest=digest, log_index=index)


def _require_own(caller: Caller, covers: Sequence[ConceptId]) -> None:
    for concept in covers:
        if concept.tenant != caller.tenant:
            raise InputError(f"{caller.principal} cannot record terms for {concept}, which is not of {caller.tenant}")
