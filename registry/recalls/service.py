"""The end of a version and its consequences.

Rules:
1. An application has a notice for each version that it was ever permitted and that was revoked or suspended since, or
   rejected after a break-glass. Reviewers and auditors have one for each break-glass in force, owners and reviewers one for
   each term that ends soon.
2. Fetching a notice for the first time is logged as sending it: a registry knows that it was handed over, never that it
   was read. Acknowledging it is an act of its own, once, and logged. What came back and ended again is another notice.
3. A report is signed with the status key, about the manifest, and says how long the log was: anybody can see what it
   could not know yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.approvals import break_glass
from registry.approvals import query as approvals
from registry.auth import Caller
from registry.generations import impact
from registry.log import query as log_reading
from registry.log import service as log
from registry.recalls.tables import NoticeAcknowledgementRow, NoticeSentRow
from registry.reminders import service as reminders
from registry.runtime import Runtime
from registry.versions import reading
from registry.versions import service as versions
from registry.versions.version import Version
from sdk.errors import Conflict, NotFound
from sdk.signing.signer import sign_envelope
from sdk.spec.api import LoggedEntry, LogQuery
from sdk.spec.bundle import VersionStatus
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Role
from sdk.spec.recall import (
    AffectedApplication,
    BlastRadiusPredicate,
    Notice,
    NoticeAcknowledgement,
    NoticeList,
    RelatedVersion,
    images_digest,
)
from sdk.spec.scopes import Scope
from sdk.spec.statements import encode_statement

_END_OF: Final = {
    VersionStatus.REVOKED: AuditEventType.VERSION_REVOKED,
    VersionStatus.SUSPENDED: AuditEventType.VERSION_SUSPENDED,
    VersionStatus.REJECTED: AuditEventType.VERSION_REJECTED,
}

TOLD_OF_BREAK_GLASS: Final = frozenset({Role.REVIEWER, Role.AUDITOR})
TOLD_OF_TERMS: Final = frozenset({Role.OWNER, Role.REVIEWER})

_Row = TypeVar("_Row", NoticeSentRow, NoticeAcknowledgementRow)


def notices(session: Session, runtime: Runtime, caller: Caller, query: PageQuery) -> NoticeList:
    """A page of the notices to the caller, the fetching of new ones about ends logged; what is in force, or near, is on the first.

    Raises:
        PermissionDenied: the caller gets none.
        InputError: the cursor is none of this list.
    """
    caller.require(Role.APP, *sorted(TOLD_OF_BREAK_GLASS | TOLD_OF_TERMS))
    ended, first = [], query.cursor is None
    granted, cursor = impact.granted_to(session, caller.principal, query)  # nobody but applications is granted any
    for concept, number in granted:
        version = versions.load(session, caller.tenant, concept, number)
        if version.stored_status in _END_OF:
            ended.append(version)
    ends = [(version, _end_of(session, version)) for version in ended]
    found = tuple(_notice(session, caller, version, end) for version, end in ends)
    for version, end in ends:
        _note_sent(session, runtime, caller, version, end)
    return NoticeList(
        notices=found,
        break_glasses=break_glass.in_force(session, runtime, caller)
        if first and caller.roles & TOLD_OF_BREAK_GLASS and caller.may(Scope.REVIEWS_READ)
        else (),
        reminders=reminders.standing(session, runtime, caller)
        if first and caller.roles & TOLD_OF_TERMS and caller.may(Scope.RECORDS_READ)
        else (),
        next_cursor=cursor,
    )


def acknowledge(session: Session, runtime: Runtime, caller: Caller, answer: NoticeAcknowledgement) -> int:
    """Record that the caller has stopped using a version; returns the entry's place in the log.

    Raises:
        PermissionDenied: the caller is no application.
        NotFound: it has no such notice.
        Conflict: it has acknowledged it with other words.
    """
    caller.require(Role.APP)
    version = versions.load(session, caller.tenant, answer.concept, answer.number)
    if not impact.was_granted(session, caller.principal, version) or version.stored_status not in _END_OF:
        raise NotFound(f"{caller.principal} has no notice about {version.name}; see GET /v1/notices")
    log.hold_end(session)  # whoever acknowledges at the same moment waits here, and then finds it
    end = _end_of(session, version)
    if earlier := _told(session, NoticeAcknowledgementRow, version, end).get(caller.principal):
        if earlier.comment != answer.comment:
            raise Conflict(f"{caller.principal} has acknowledged the end of {version.name} already, with other words")
        return earlier.log_index
    index = _log(session, runtime, caller, AuditEventType.NOTICE_ACKNOWLEDGED, version)
    session.add(
        NoticeAcknowledgementRow(
            application=caller.principal,
            concept_id=version.concept,
            number=version.number,
            at=runtime.clock(),
            log_index=index,
            ended_entry=end.index,
            comment=answer.comment,
        )
    )
    session.flush()
    return index


def blast_radius(session: Session, runtime: Runtime, caller: Caller, version: Version) -> Envelope:
    """The signed report about a version. Raises `PermissionDenied` for who is no auditor, reviewer or owner."""
    caller.require(Role.AUDITOR, Role.REVIEWER, Role.OWNER)
    images = impact.images_of(session, version)
    end = _end(session, version)
    predicate = BlastRadiusPredicate(
        concept=version.concept,
        number=version.number,
        status=version.status(versions.terms_of(session, version, runtime.clock())),
        ended_at=end.entry.at if end else None,
        ended_entry=end.index if end else None,
        related=_related(session, version),
        applications=_applications(session, runtime, version),
        images_recorded=len(images),
        images=images_digest(images),
        log_size=log.tree_size(session),
        reported_at=runtime.clock(),
    )
    statement = encode_statement(predicate, subjects={str(version.concept): version.digest})
    return sign_envelope(statement, runtime.status_signer)


def _notice(session: Session, caller: Caller, version: Version, end: LoggedEntry) -> Notice:
    answered = _told(session, NoticeAcknowledgementRow, version, end).get(caller.principal)
    acts = approvals.acts_on(session, version)
    return Notice(
        concept=version.concept,
        number=version.number,
        manifest=version.digest,
        status=version.stored_status,
        ended_at=end.entry.at,
        reason=next((act.words for act in acts if act.act in ("revoke", "reject")), ""),
        acknowledged_at=answered.at if answered else None,
    )


def _note_sent(session: Session, runtime: Runtime, caller: Caller, version: Version, end: LoggedEntry) -> None:
    if caller.principal in _told(session, NoticeSentRow, version, end):
        return
    log.hold_end(session)  # whoever asks at the same moment waits here, and then finds it
    if caller.principal in _told(session, NoticeSentRow, version, end):
        return
    index = _log(session, runtime, caller, AuditEventType.NOTICE_SENT, version)
    session.add(
        NoticeSentRow(
            application=caller.principal,
            concept_id=version.concept,
            number=version.number,
            at=runtime.clock(),
            log_index=index,
            ended_entry=end.index,
        )
    )
    session.flush()


def _log(session: Session, runtime: Runtime, caller: Caller, event: AuditEventType, version: Version) -> int:
    evidence = {"manifest": version.digest}
    return log.append(session, runtime, event=event, actor=caller.principal, subject=version.name, evidence=evidence)


def _end(session: Session, version: Version) -> LoggedEntry | None:
    """The newest entry that tells the end of a version."""
    event = _END_OF.get(version.stored_status)
    if event is None:
        return None
    ends = LogQuery(event=event, subject=version.name, limit=1)
    newest = ends.model_copy(update={"after": log_reading.before_newest(session, version.tenant, ends)})
    found = log_reading.page(session, version.tenant, newest)
    return found.entries[0] if found.entries else None


def _end_of(session: Session, version: Version) -> LoggedEntry:
    """The same of a version that has ended. Raises `Conflict` when the log does not tell it."""
    end = _end(session, version)
    if end is None:
        raise Conflict(f"the log does not tell the end of {version.name}; tell the auditor")
    return end


def _related(session: Session, version: Version) -> tuple[RelatedVersion, ...]:
    resting: Sequence[Version] = reading.resting_on(session, version.tenant, version.every_consent)
    others = [other for other in resting if other.name != version.name]
    return tuple(RelatedVersion(name=other.name, status=other.stored_status) for other in others)


def _applications(session: Session, runtime: Runtime, version: Version) -> tuple[AffectedApplication, ...]:
    open_grants = impact.outstanding(session, version, runtime.clock())
    end = _end(session, version)
    sent = _told(session, NoticeSentRow, version, end)
    answered = _told(session, NoticeAcknowledgementRow, version, end)
    return tuple(
        AffectedApplication(
            application=use.application,
            generations=use.generations,
            images_granted=use.images_granted,
            images_recorded=use.images_recorded,
            outstanding=tuple(open_grants.get(use.application, ())),
            notice_sent_at=sent[use.application].at if use.application in sent else None,
            acknowledged_at=answered[use.application].at if use.application in answered else None,
            acknowledgement_entry=answered[use.application].log_index if use.application in answered else None,
        )
        for use in impact.uses_of(session, version)
    )


def _told(session: Session, kind: type[_Row], version: Version, end: LoggedEntry | None) -> dict[PrincipalId, _Row]:
    """What each application did about the end of a version that holds; of an end before it came back, nothing counts."""
    if end is None:
        return {}
    statement = select(kind).where(kind.concept_id == version.concept, kind.number == version.number)
    statement = statement.where(kind.log_index > end.index)
    return {row.application: row for row in session.scalars(statement)}
