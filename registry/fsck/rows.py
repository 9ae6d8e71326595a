"""Rows of evidence against the log: each row is what its entry says, and each entry of its kind has a row.

A row says when it was written by its own reading of the clock, moments before or after its entry's; the entry's time is
the one that counts, so a row's may differ by `CLOCK_SECONDS`. Free words that the log has no digest of (titles, reasons)
cannot be checked here; `UNCHECKED` in `check` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.db import Base
from registry.fsck.tree import entries_at
from registry.log.tables import LogEntryRow
from sdk.errors import ImprimaturError
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType, LogEntry

CLOCK_SECONDS: Final = 60  # seconds between a row's time and its entry's
_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rows of a table must be, as its entries in the log have it."""

    table: type[Base]
    events: tuple[AuditEventType, ...]
    subject: Callable[[Any], str]
    at: Callable[[Any], datetime]
    actor: Callable[[Any], str] | None = None  # none: no column names who did it
    digests: Callable[[Any], Mapping[str, Digest]] = field(default=lambda row: {})
    facts: Callable[[Any], Mapping[str, str]] = field(default=lambda row: {})
    inside: Callable[[Session, Any], Iterator[str]] = field(default=lambda session, row: iter(()))
    has_every_entry: bool = True  # no: the same event is logged for other reasons as well

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)


def faults_of_rows(session: Session, evidence: Evidence) -> Iterator[str]:
    """What is wrong with the rows of one table."""
    seen: set[int] = set()
    for batch in _batches(session, evidence.table):
        entries = entries_at(session, {row.log_index for row in batch})
        for row in batch:
            index = row.log_index
            name = f"{evidence.name}: {_called(evidence, row)}"
            if index in seen:
                yield f"{name}: entry {index} of the log has another row already"
            seen.add(index)
            yield from (f"{name}: {fault}" for fault in _faults(session, evidence, row, entries.get(index), index))
    if evidence.has_every_entry:
        values = [event.value for event in evidence.events]
        statement = select(func.count()).select_from(LogEntryRow).where(LogEntryRow.event.in_(values))
        if (logged := session.scalar(statement)) != len(seen):
            yield f"{evidence.name}: the log has {logged} entries {', '.join(values)}, the table has {len(seen)} rows"


def _batches(session: Session, table: type[Base]) -> Iterator[Sequence[Any]]:
    rows = session.scalars(select(table).execution_options(yield_per=_BATCH))
    try:
        yield from rows.partitions(_BATCH)
    finally:
        rows.close()


def _faults(session: Session, evidence: Evidence, row: Any, entry: LogEntry | None, index: int) -> Iterator[str]:
    if entry is None:
        yield f"the log has no entry {index}"
        return
    try:
        yield from _differences(evidence, row, entry, index)
        yield from evidence.inside(session, row)
    except (ImprimaturError, ValueError) as exc:
        yield f"it cannot be read: {exc}"


def _differences(evidence: Evidence, row: Any, entry: LogEntry, index: int) -> Iterator[str]:
    if entry.event not in evidence.events:
        yield f"entry {index} of the log is {entry.event.value}"
    by = evidence.actor(row) if evidence.actor else entry.actor
    if (entry.subject, entry.actor) != (evidence.subject(row), by):
        yield f"entry {index} of the log is about {entry.subject}, by {entry.actor}"
    if getattr(row, "tenant", entry.actor.tenant) != entry.actor.tenant:
        yield f"its tenant is {row.tenant}, entry {index} of the log is by {entry.actor}"
    for name, digest in evidence.digests(row).items():
        if entry.evidence.get(name) != digest:
            yield f"its {name} has not the digest that entry {index} of the log has"
    for name, value in evidence.facts(row).items():
        if entry.facts.get(name) != value:
            yield f"{name} is {value}, entry {index} of the log says {entry.facts.get(name)}"
    if abs(evidence.at(row) - entry.at) > timedelta(seconds=CLOCK_SECONDS):
        yield f"it says {evidence.at(row)}, entry {index} of the log {entry.at}"


def _called(evidence: Evidence, row: Any) -> str:
    try:
        return evidence.subject(row)
    except (ImprimaturError, ValueError):
        return "a row"
