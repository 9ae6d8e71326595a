"""Making reminders, and reading them.

Rules:
1. Whoever looks holds the tenant's lock, so of several workers one makes each reminder, once: a row and a log entry.
2. Reminded is of what counts: a consent that is given, a licence, whose day lies ahead, within `reminder_days`.
3. The log's entry says neither the kind nor the day (`sdk.spec.reminders`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import evidence, query
from registry.log import service as log
from registry.paging import page_of
from registry.reminders.tables import ReminderRow
from registry.runtime import Runtime
from registry.versions import service as versions
from sdk.errors import ImprimaturError
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Role
from sdk.spec.reminders import Reminder, ReminderKind, ReminderPage
from sdk.spec.terms import ConsentEvidence, ConsentStatus, LicenceEvidence

READERS: Final = (Role.OWNER, Role.REVIEWER, Role.TRAINER, Role.AUDITOR, Role.ADMIN)
_logger = logging.getLogger(__name__)
_LOCK: Final = 0x1093  # of pg_advisory_xact_lock, with a hash of the tenant


@dataclass(frozen=True, kw_only=True)
class _Day:
    """A day that a record names."""

    record: RecordId
    digest: Digest
    kind: ReminderKind
    due_at: datetime
    covers: tuple[ConceptId, ...]
    counts: bool  # the record still does


def remind_all(runtime: Runtime) -> int:
    """Make the reminders that are due, of every tenant; returns how many were made. What fails of one is logged."""
    with runtime.sessions.begin() as session:  # as the database's owner, who sees all tenants
        tenants = query.tenants(session)
    made = 0
    for tenant in tenants:
        try:
            with runtime.transaction(tenant) as session:
                made += remind(session, runtime, tenant)
        except (ImprimaturError, SQLAlchemyError):
            _logger.exception("the reminders of %s are not made", tenant)
    return made


def remind(session: Session, runtime: Runtime, tenant: TenantName) -> int:
    """Make the reminders of one tenant that are due; returns how many were made."""
    session.execute(text("SELECT pg_advisory_xact_lock(:of, hashtext(:tenant))"), {"of": _LOCK, "tenant": tenant})
    now = runtime.clock()
    until = now + timedelta(days=runtime.settings.reminder_days)
    known = {(row.record_id, row.kind) for row in session.scalars(select(ReminderRow))}
    made = 0
    for day in _days(query.all_consents(session, tenant, now), query.licences(session, tenant)):
        if day.counts and now < day.due_at <= until and (day.record, day.kind.value) not in known:
            _make(session, runtime, tenant, day, now)
            made += 1
    return made


def page(session: Session, runtime: Runtime, caller: Caller, asked: PageQuery) -> ReminderPage:
    """The reminders of the caller's tenant, oldest first. Raises `PermissionDenied`."""
    caller.require(*READERS)
    order = ReminderRow.log_index
    mine = select(ReminderRow).where(ReminderRow.tenant == caller.tenant)
    rows, cursor = page_of(session, mine, asked, by=[order], key=lambda row: (row.log_index,), kinds=[int])
    return ReminderPage(reminders=_views(session, runtime, caller.tenant, rows), next_cursor=cursor)


def standing(session: Session, runtime: Runtime, caller: Caller) -> tuple[Reminder, ...]:
    """The reminders whose day is still ahead, the nearest first. Raises `PermissionDenied`."""
    caller.require(*READERS)
    rows = session.scalars(select(ReminderRow).where(ReminderRow.tenant == caller.tenant)).all()
    found = _views(session, runtime, caller.tenant, rows)
    return tuple(sorted((one for one in found if not one.over), key=lambda one: (one.due_at, one.record)))


def _make(session: Session, runtime: Runtime, tenant: TenantName, day: _Day, now: datetime) -> None:
    resting = _resting(session, runtime, tenant, day)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.TERM_ENDING,
        actor=PrincipalId(f"{tenant}/registry"),  # the registry itself, by its clock
        subject=day.record,
        evidence={"record": day.digest},
        facts={"versions": " ".join(resting)} if resting else {},
    )
    session.add(ReminderRow(record_id=day.record, kind=day.kind.value, tenant=tenant, reminded_at=now, log_index=index))
    session.flush()


def _days(consents: Iterable[ConsentEvidence], licences: Iterable[LicenceEvidence]) -> Iterator[_Day]:
    for held in consents:
        given = held.status is ConsentStatus.GIVEN
        dates = {ReminderKind.CONSENT_TERM: held.record.terms.valid_until}
        of_age_at = held.record.of_age_at
        if of_age_at and held.record.of_age_unconfirmed(held.confirmed_on, of_age_at):
            dates[ReminderKind.OF_AGE] = of_age_at
        for kind, due_at in dates.items():
            yield _Day(
                record=held.id, digest=held.digest, kind=kind, due_at=due_at, covers=held.record.covers, counts=given
            )
    for licence in licences:
        yield _Day(
            record=licence.id,
            digest=licence.digest,
            kind=ReminderKind.LICENCE_TERM,
            due_at=licence.grant.terms.valid_until,
            covers=licence.grant.covers,
            counts=True,
        )


def _views(session: Session, runtime: Runtime, tenant: TenantName, rows: Iterable[ReminderRow]) -> tuple[Reminder, ...]:
    now = runtime.clock()
    days = {(day.record, day.kind.value): day for row in rows for day in _days_of(session, tenant, row.record_id, now)}
    return tuple(
        Reminder(
            record=row.record_id,
            kind=ReminderKind(row.kind),
            due_at=day.due_at,
            covers=day.covers,
            versions=_resting(session, runtime, tenant, day),
            reminded_at=row.reminded_at,
            over=now >= day.due_at or not day.counts,
            log_index=row.log_index,
        )
        for row in rows
        if (day := days.get((row.record_id, row.kind)))  # what was erased names no day any more
    )


def _days_of(session: Session, tenant: TenantName, record: RecordId, at: datetime) -> Iterator[_Day]:
    if record.startswith("lic_"):
        return _days([], evidence.licences_of(session, tenant, [record]))
    return _days(*evidence.not_erased(session, tenant, [record], [], at))


def _resting(session: Session, runtime: Runtime, tenant: TenantName, day: _Day) -> tuple[str, ...]:
    """The approved versions whose approval ends with this day, unless it is renewed: what is renewed by then does not rest on it."""
    found = []
    for concept in day.covers:
        version = versions.approved_version(session, tenant, concept)
        if version and day.record in (*version.consents_at(day.due_at), *version.licences_at(day.due_at)):
            terms = versions.terms_of(session, version, runtime.clock())
            if version.status(terms) is VersionStatus.APPROVED:
                found.append(version.name)
    return tuple(found)
