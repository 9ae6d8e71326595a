"""Rows of evidence against the log: each row is what its entry says, each entry of its kind has a row, and the statement it names.

A row says when it was written by its own reading of the clock, moments before or after its entry's; the entry's time is
the one that counts, so a row's may differ by `CLOCK_SECONDS`. Free words that the log has no digest of (titles, reasons)
cannot be checked here; `UNCHECKED` in `check` names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.db import Base
from registry.fsck.tree import entries_at
from registry.log.tables import LogEntryRow, StatementRow
from sdk.errors import ImprimaturError
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType, LogEntry
from sdk.spec.recorded import STATEMENT

CLOCK_SECONDS: Final = 60  # seconds between a row's time and its entry's
_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rows of a table must be, as its entries in the log have it."""

    table: type[Base]
    events: tuple[AuditEventType, ...]
    others: tuple[AuditEventType, ...] = ()  # those of `events` that are logged without a row as well
    subject: str | Callable[[Any], str] = ""  # its column, or what is made of several; empty: no column names it
    actor: str = ""  # its column; empty: no column names who did it
    at: str = ""  # its column; empty: a row may be much later than its entry
    seconds: int = CLOCK_SECONDS  # that `at` may be off the entry's time
    digests: Callable[[Any], Mapping[str, Digest]] = field(default=lambda row: {})
    facts: Callable[[Any], Mapping[str, str | None]] = field(default=lambda row: {})
    placed_by: tuple[str, ...] | None = None  # its `place` counts rows of the same columns, in the order of the log
    inside: Callable[[Session, Any, LogEntry], Iterator[str]] = field(default=lambda session, row, entry: iter(()))

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)

    @property
    def complete(self) -> frozenset[AuditEventType]:
        """The events whose every entry has a row, here or in another table that shares them."""
        return frozenset(self.events) - frozenset(self.others)

    def called(self, row: Any) -> str | None:
        """What the row is about, as the log names it."""
        if isinstance(self.subject, str):
            return str(getattr(row, self.subject)) if self.subject else None
        return self.subject(row)


def version_of(row: Any) -> str:
    """`tenant/name@number`, as the log names a version."""
    return f"{row.concept_id}@{row.number}"


def faults_of_rows(session: Session, evidence: Evidence, tally: Counter[AuditEventType]) -> Iterator[str]:
    """What is wrong with the rows of one table; `tally` counts the entries that have a row."""
    seen: set[int] = set()
    for batch in _batches(session, evidence.table):
        entries = entries_at(session, {row.log_index for row in batch})
        for row in batch:
            index = row.log_index
            name = f"{evidence.name}: {_called(evidence, row)}"
            if index in seen:
                yield f"{name}: entry {index} of the log has another row already"
            seen.add(index)
            entry = entries.get(index)
            tally.update([entry.event] if entry and entry.event in evidence.complete else [])
            yield from (f"{name}: {fault}" for fault in _faults(session, evidence, row, entry, index))


def faults_of_entries(session: Session, evidence: Sequence[Evidence], tally: Counter[AuditEventType]) -> Iterator[str]:
    """Which entries have no row, once all rows were counted."""
    statement = select(LogEntryRow.event, func.count()).group_by(LogEntryRow.event)
    logged = {str(event): int(count) for event, count in session.execute(statement)}
    for event in sorted({event for each in evidence for event in each.complete}):
        if (count := logged.get(event.value, 0)) != tally[event]:
            names = ", ".join(each.name for each in evidence if event in each.complete)
            yield f"{names}: the log has {count} entries {event.value}, of which {tally[event]} have a row"


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
        yield from evidence.inside(session, row, entry)
        if evidence.placed_by is not None and row.place != (place := _place(session, evidence, row)):
            yield f"its place is {row.place}, in the log it is {place}"
        if STATEMENT in entry.evidence and session.get(StatementRow, index) is None:
            yield f"the statement that entry {index} of the log names is missing"
    except (ImprimaturError, ValueError) as exc:
        yield f"it cannot be read: {exc}"


def _differences(evidence: Evidence, row: Any, entry: LogEntry, index: int) -> Iterator[str]:
    if entry.event not in evidence.events:
        yield f"entry {index} of the log is {entry.event.value}"
    by = getattr(row, evidence.actor) if evidence.actor else entry.actor
    if (entry.subject, entry.actor) != (evidence.called(row) or entry.subject, by):
        yield f"entry {index} of the log is about {entry.subject}, by {entry.actor}"
    if getattr(row, "tenant", entry.actor.tenant) != entry.actor.tenant:
        yield f"its tenant is {row.tenant}, entry {index} of the log is by {entry.actor}"
    for name, digest in evidence.digests(row).items():
        if entry.evidence.get(name) != digest:
            yield f"its {name} has not the digest that entry {index} of the log has"
    for name, value in evidence.facts(row).items():
        if not agree(entry.facts.get(name), value):
            yield f"{name} is {value}, entry {index} of the log says {entry.facts.get(name)}"
    if evidence.at and abs(getattr(row, evidence.at) - entry.at) > timedelta(seconds=evidence.seconds):
        yield f"it says {getattr(row, evidence.at)}, entry {index} of the log {entry.at}"


def agree(logged: str | None, kept: str | None) -> bool:
    """Whether a fact of an entry is the one in a row. A moment may be written in another zone: the log keeps what was sent."""
    if logged == kept or logged is None or kept is None:
        return logged == kept
    try:
        return datetime.fromisoformat(logged) == datetime.fromisoformat(kept)
    except ValueError:
        return False


def _place(session: Session, evidence: Evidence, row: Any) -> int:
    table: Any = evidence.table
    same = [getattr(table, column) == getattr(row, column) for column in evidence.placed_by or ()]
    earlier = select(func.count()).select_from(table).where(*same, table.log_index <= row.log_index)
    return session.scalar(earlier) or 0


def _called(evidence: Evidence, row: Any) -> str:
    try:
        return evidence.called(row) or f"that of entry {row.log_index}"
    except (ImprimaturError, ValueError):
        return "a row"
