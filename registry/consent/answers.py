"""Asking for a consent anew after a life event, and recording the answer. The rules are tables in `sdk.spec.consent_events`.

What the clock has brought is written down before what somebody does about it, so that the rows tell the whole story.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import subjects
from registry.consent.evidence import consents_of
from registry.consent.lifecycle import Happened, advance, due_by_clock
from registry.consent.service import Recorded, claim, require_salt, statement_of
from registry.consent.tables import ConsentEventRow, ConsentRow
from registry.log import service as log
from registry.runtime import Runtime
from sdk.errors import InputError, NotFound, PermissionDenied
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.consent_events import LOGGED_AS, ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport, may_confirm
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.policy import Role
from sdk.spec.terms import Capacity, ConsentRecord, ConsentStatus
from sdk.spec.texts import Pseudonym

_MAY_FALL_DUE = (ConsentStatus.GIVEN, ConsentStatus.RECONFIRMATION_DUE)


def claim_standing(session: Session, runtime: Runtime, caller: Caller, pseudonym: Pseudonym) -> Sequence[RecordId]:
    """Hold, in the order of their ids, the consents about a person that a life event makes fall due; return them.

    Raises:
        PermissionDenied: the caller may not report life events.
        NotFound: there is no such consent.
    """
    caller.require(Role.OWNER, Role.REVIEWER)
    statement = select(ConsentRow).where(ConsentRow.tenant == caller.tenant, ConsentRow.subject == pseudonym)
    rows = session.scalars(statement.order_by(ConsentRow.id).with_for_update(key_share=True)).all()
    held = consents_of(session, caller.tenant, [row.id for row in rows], runtime.clock())
    standing = [consent.id for consent in held if consent.status in _MAY_FALL_DUE]
    if not standing:
        raise NotFound(f"{caller.tenant} has no consent about this pseudonym that stands; correct it, or see the list")
    return standing


def ask_anew(
    session: Session, runtime: Runtime, caller: Caller, consent: RecordId, report: LifeEventReport
) -> Recorded:
    """Record that a consent has to be confirmed anew. Raises `InputError` without a salt, or when nobody could confirm it."""
    require_salt(report.salt)
    row = claim(session, caller, consent)
    if not may_confirm((*life_events_of(session, row, runtime), report.event)):
        raise InputError(f"after what happened before, {report.event.value} leaves nobody who could confirm {consent}")
    return _add(session, runtime, caller, row, ConsentEvent.ASK, report)


def answer(session: Session, runtime: Runtime, caller: Caller, consent: RecordId, given: ConsentAnswer) -> Recorded:
    """Record the answer of whoever may now speak for the person.

    Raises:
        PermissionDenied: the caller, or who expressed the answer, may not.
        NotFound: like `claim`.
        InputError: the day has not come, or a salt or document is missing.
        Conflict: a consent that stands so is not answered for.
    """
    require_salt(given.salt)
    row = claim(session, caller, consent)
    caller.require(Role.OWNER, Role.SUBJECT)
    _require_expressed(session, runtime, caller, row, given)
    [held] = consents_of(session, caller.tenant, [consent], runtime.clock())
    advance(held.status, given.answer, f"consent {consent}")
    if ConsentEvent.ASK in _by_clock(session, runtime, row):
        _add(session, runtime, caller, row, ConsentEvent.ASK, None)
    return _add(session, runtime, caller, row, given.answer, given, given.expressed_on)


def confirmable(session: Session, runtime: Runtime, consent: RecordId) -> frozenset[Capacity]:
    """In which capacities the consent can be confirmed now."""
    row = session.get_one(ConsentRow, consent)
    return may_confirm(life_events_of(session, row, runtime))


def life_events_of(session: Session, row: ConsentRow, runtime: Runtime) -> tuple[LifeEvent, ...]:
    """The life events of a consent, oldest first; coming of age by the clock is one."""
    found = [
        parse_wire(LifeEventReport, event.content, f"report about consent {row.id}").event
        if event.content  # none: by the clock
        else LifeEvent.OF_AGE
        for event in rows_of(session, row.id)
        if event.event == ConsentEvent.ASK.value
    ]
    return tuple(found) + ((LifeEvent.OF_AGE,) if ConsentEvent.ASK in _by_clock(session, runtime, row) else ())


def _last_report(session: Session, row: ConsentRow) -> LifeEventReport | None:
    """What was reported last; coming of age by the clock is no report."""
    told = [
        event.content for event in rows_of(session, row.id) if event.event == ConsentEvent.ASK.value and event.content
    ]
    return parse_wire(LifeEventReport, told[-1], f"report about consent {row.id}") if told else None


def rows_of(session: Session, consent: RecordId) -> Sequence[ConsentEventRow]:
    """The recorded events of a consent, oldest first."""
    statement = select(ConsentEventRow).where(ConsentEventRow.consent_id == consent)
    return session.scalars(statement.order_by(ConsentEventRow.place)).all()


def _by_clock(session: Session, runtime: Runtime, row: ConsentRow) -> tuple[ConsentEvent, ...]:
    """What the clock has brought and no row tells yet."""
    events = [Happened(event=ConsentEvent(e.event), expressed_on=e.expressed_on) for e in rows_of(session, row.id)]
    if events and events[-1].event is ConsentEvent.ASK:
        return ()
    return due_by_clock(parse_wire(ConsentRecord, row.content, f"consent {row.id}"), events, runtime.clock())


def _require_expressed(
    session: Session, runtime: Runtime, caller: Caller, row: ConsentRow, given: ConsentAnswer
) -> None:
    if given.expressed_on > runtime.clock().date():
        raise InputError(f"expressed_on is {given.expressed_on}, which has not come; say when it was expressed")
    happened = _last_report(session, row)
    if happened and given.answer is ConsentEvent.RECONFIRM and given.expressed_on < happened.happened_on:
        raise InputError(
            f"expressed_on is {given.expressed_on}, before {happened.event.value} on {happened.happened_on}: what was said "
            "before does not confirm anew"
        )
    allowed = may_confirm(life_events_of(session, row, runtime))
    if given.answer is ConsentEvent.RECONFIRM and given.expressed_as not in allowed:
        named = " or ".join(sorted(capacity.value for capacity in allowed))
        raise PermissionDenied(f"consent {row.id} can now be confirmed as {named}, not as {given.expressed_as.value}")
    if Role.OWNER not in caller.roles:
        subjects.require_speaks(session, caller, row.subject, given.expressed_as)
    elif given.evidence is None:
        raise InputError("evidence is missing: name the document in which the answer is written")


def _add(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    row: ConsentRow,
    event: ConsentEvent,
    what: WireModel | None,
    expressed_on: date | None = None,
) -> Recorded:
    content = encode_canonical(what) if what else None
    evidence = {"record": row.digest} | ({"act": Digest.of(content)} if content else {})
    index = log.append(
        session,
        runtime,
        event=LOGGED_AS[event],
        actor=caller.principal,
        subject=row.id,
        evidence=evidence,
        statement=statement_of(runtime, caller, row.id, row.digest, event, act=evidence.get("act")),
    )
    last = session.scalar(select(func.max(ConsentEventRow.place)).where(ConsentEventRow.consent_id == row.id))
    session.add(
        ConsentEventRow(
            consent_id=row.id,
            place=(last or 0) + 1,
            event=event.value,
            content=content,
            expressed_on=expressed_on,
            recorded_by=caller.principal,
            recorded_at=runtime.clock(),
            log_index=index,
        )
    )
    session.flush()
    return Recorded(id=row.id, digest=row.digest, log_index=index)
