"""Credentials against the log: each was issued as it stands, and has ended if the log says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import CredentialRow
from registry.fsck.rows import CLOCK_SECONDS, agree
from registry.log.tables import LogEntryRow
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry

_REVOKED: Final = AuditEventType.CREDENTIAL_REVOKED


def faults_of_credentials(session: Session) -> Iterator[str]:
    """What is wrong with the credentials of all tenants."""
    entries = _entries(session)
    issued = {entry.evidence["credential"]: entry for entry in entries if entry.event is not _REVOKED}
    ends = _ends(entries)
    for row in session.scalars(select(CredentialRow)):
        entry = issued.pop(row.digest, None)
        if entry is None:
            yield f"credentials: one of {row.principal} was never issued"
            continue
        if _is_other(row, entry):
            yield f"credentials: one of {row.principal} was issued otherwise"
        end = ends.get(row.digest)
        if end and (row.revoked_at is None or row.revoked_at > end + timedelta(seconds=CLOCK_SECONDS)):
            yield f"credentials: one of {row.principal} ended at {end}, and it says {row.revoked_at}"
    yield from (f"credentials: one issued to {entry.subject} is missing" for entry in issued.values())


def _entries(session: Session) -> list[LogEntry]:
    events = (AuditEventType.CREDENTIAL_ISSUED, AuditEventType.CREDENTIAL_ROTATED, _REVOKED)
    statement = select(LogEntryRow.content).where(LogEntryRow.event.in_([event.value for event in events]))
    return [parse_log_entry(content) for content in session.scalars(statement)]


def _ends(entries: list[LogEntry]) -> dict[Digest, datetime]:
    """When credentials ended, or will, that were revoked or rotated: the earliest that the log says."""
    ends = dict[Digest, datetime]()
    for entry in entries:
        if entry.event is AuditEventType.CREDENTIAL_ISSUED:
            continue
        rotated = entry.evidence.get("replaced")
        ended = rotated or entry.evidence["credential"]
        at = datetime.fromisoformat(entry.facts["ends_at"]) if rotated else entry.at
        ends[ended] = min(at, ends.get(ended, at))
    return ends


def _is_other(row: CredentialRow, entry: LogEntry) -> bool:
    said = {
        "roles": " ".join(row.roles),
        "scopes": None if row.scopes is None else " ".join(row.scopes),
        "expires_at": row.expires_at.isoformat(timespec="seconds"),
    }
    return entry.subject != row.principal or not all(agree(entry.facts.get(name), said[name]) for name in said)
