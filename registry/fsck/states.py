"""Where versions stand, replayed from the log: status, number of approvals, and every status they came to.

A status list is a cache, but one that may say "approved" for as long as it lives: what is kept must be what was signed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.log.tables import LogEntryRow
from registry.status.tables import StatusListRow
from registry.versions.tables import ReviewRequestRow, VersionPreviewRow, VersionRow, VersionStateRow, VersionStatusRow
from sdk.errors import ImprimaturError
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRoot
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.status_list import StatusListName

_COMES_TO: Final[Mapping[str, VersionStatus]] = {
    AuditEventType.REVIEW_REQUESTED.value: VersionStatus.SUBMITTED,
    AuditEventType.APPROVAL_SIGNED.value: VersionStatus.IN_REVIEW,
    AuditEventType.VERSION_APPROVED.value: VersionStatus.APPROVED,
    AuditEventType.VERSION_REJECTED.value: VersionStatus.REJECTED,
    AuditEventType.VERSION_SUPERSEDED.value: VersionStatus.SUPERSEDED,
    AuditEventType.VERSION_SUSPENDED.value: VersionStatus.SUSPENDED,
    AuditEventType.VERSION_REINSTATED.value: VersionStatus.APPROVED,
    AuditEventType.VERSION_RENEWED.value: VersionStatus.APPROVED,
    AuditEventType.VERSION_REVOKED.value: VersionStatus.REVOKED,
}


def faults_of_states(session: Session) -> Iterator[str]:
    """What is wrong with the states of versions, their history, requests and previews."""
    statuses: dict[tuple[str, int], list[str]] = defaultdict(list)
    ordered = select(VersionStatusRow).order_by(
        VersionStatusRow.concept_id, VersionStatusRow.number, VersionStatusRow.place
    )
    for row in session.scalars(ordered):
        held = statuses[row.concept_id, row.number]
        held.append(row.status)
        if row.place != len(held):
            yield f"version_statuses: {row.concept_id}@{row.number} lacks place {len(held)}"
    states = {(row.concept_id, row.number): row for row in session.scalars(select(VersionStateRow))}
    known = session.execute(select(VersionRow.concept_id, VersionRow.number, VersionRow.log_index)).all()
    for concept, number, submitted_at in known:
        name = f"{concept}@{number}"
        state = states.pop((concept, number), None)
        if state is None:
            yield f"version_states: {name} has no state"
            continue
        asked = session.get(ReviewRequestRow, (concept, number))
        draft = asked is None or asked.log_index != submitted_at
        expected, approvals = _replayed(session, name, VersionStatus.DRAFT if draft else VersionStatus.SUBMITTED)
        found = statuses.pop((concept, number), [])
        if (state.status, state.approvals) != (expected[-1].value, approvals):
            yield f"version_states: {name} is {state.status} with {state.approvals} approvals; the log says {expected[-1].value} with {approvals}"
        if found != [status.value for status in expected]:
            yield f"version_statuses: {name} came to {', '.join(found)}; the log says {', '.join(expected)}"
    for left in (*states, *statuses):
        yield f"version_states: {left[0]}@{left[1]} is no version"
    yield from _faults_of_previews(session)


def _replayed(session: Session, name: str, first: VersionStatus) -> tuple[list[VersionStatus], int]:
    events = session.scalars(
        select(LogEntryRow.event).where(LogEntryRow.subject == name).order_by(LogEntryRow.leaf_index)
    ).all()
    path, approvals = [first], 0
    for place, event in enumerate(events):
        if event == AuditEventType.APPROVAL_SIGNED.value:
            approvals += 1
            if AuditEventType.VERSION_APPROVED.value in events[place + 1 : place + 2]:
                continue  # the approval that reaches the threshold is one step
        if (after := _COMES_TO.get(event)) is not None and (after is not path[-1] or event in _REPEATED):
            path.append(after)
    return path, approvals


_REPEATED: Final = frozenset({AuditEventType.APPROVAL_SIGNED.value})  # in review again, with one approval more


def _faults_of_previews(session: Session) -> Iterator[str]:
    logged = select(LogEntryRow.subject, LogEntryRow.actor).where(
        LogEntryRow.event == AuditEventType.VERSION_PREVIEWED.value
    )
    entries = {(subject, str(actor)) for subject, actor in session.execute(logged)}
    rows = {(f"{row.concept_id}@{row.number}", str(row.reader)) for row in session.scalars(select(VersionPreviewRow))}
    for subject, reader in rows ^ entries:
        yield f"version_previews: {subject} by {reader} is in the log or in the table, not in both"


def faults_of_status_lists(session: Session, trust: TrustRoot) -> Iterator[str]:
    """What is wrong with the signed lists that are kept. One that nobody asked for since may be by a key revoked since."""
    keys = {keyid: key.model_copy(update={"last_entry": None}) for keyid, key in trust.keys.items()}
    ever = trust.model_copy(update={"keys": keys})
    for row in session.scalars(select(StatusListRow)):
        name = StatusListName(log_origin=trust.log_origin, tenant=row.tenant, number=row.number)
        try:
            listed = verify_status_list(row.content, ever)
        except ImprimaturError as exc:
            yield f"status_lists: {row.number} of {row.tenant} does not verify: {exc.message}"
            continue
        said = (listed.id, listed.valid_from, Digest.of(listed.bits))
        if said != (name.urn, row.signed_at, row.bits):
            yield f"status_lists: {row.number} of {row.tenant} is not the list that its row says"
