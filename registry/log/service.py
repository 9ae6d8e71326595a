"""Writing the log. Proving what is in it is `proofs`, reading it by content is `query`.

Rules:
1. `append` runs in the transaction of the act it records, under one lock that is held until that transaction ends. So
   entries are committed in the order of their indices, without gaps, and an act is logged exactly if it happened.
2. Append last in an act, so that the lock is held shortly.
3. Appending entry n reads and writes at most log2(n) + 1 hashes, in one call of `append_to_log` in the database; no tree
   is ever computed anew.
4. The lock is not held while the disk is waited for: an act that appended is committed first and flushed after, together
   with others (`registry.runtime`), and is acknowledged only then. What is signed, and tiles that may be cached, are of
   entries that are flushed (`require_flushed`); so a crash takes away nothing that anybody was given a proof of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session

from registry.log.tables import LogEntryRow, StatementRow
from registry.runtime import AFTER_COMMIT, Runtime, flush
from sdk.signing.signer import sign_envelope
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType, LogEntry, encode_log_entry
from sdk.spec.recorded import STATEMENT

APPEND_LOCK: Final = 0x1091  # of pg_advisory_xact_lock; one log, one lock
APPENDED: Final = "registry.log.appended"
"""In a session's `info`: whether its transaction has appended."""
_APPENDED_CTE: Final = """appended AS (
    SELECT place, append_to_log(:lock, content, at, event, tenant, actor, subject) AS log_index
      FROM unnest(CAST(:contents AS bytea[]), CAST(:times AS timestamptz[]), CAST(:events AS varchar[]),
                  CAST(:tenants AS varchar[]), CAST(:actors AS varchar[]), CAST(:subjects AS varchar[]))
           WITH ORDINALITY AS entry (content, at, event, tenant, actor, subject, place)
     ORDER BY place
)"""
_HOLD_END: Final = text("SELECT pg_advisory_xact_lock(:lock)")
FLUSHED: Final = "pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
"""Whether all that was committed is on disk, in SQL."""
_IS_FLUSHED: Final = text(f"SELECT {FLUSHED}")


def appending(*acts: str) -> TextClause:
    """The statement of `append_entries`; with `acts`, CTEs that keep what is logged and find its entries in
    `appended (place, log_index)`, by their place from 1 on."""
    return text(f"WITH {', '.join((_APPENDED_CTE, *acts))} SELECT log_index FROM appended ORDER BY place")  # noqa: S608 - of this code


_APPEND: Final = appending()


def append(
    session: Session,
    runtime: Runtime,
    *,
    event: AuditEventType,
    actor: PrincipalId,
    subject: str,
    evidence: Mapping[str, Digest] | None = None,
    facts: Mapping[str, str] | None = None,
    statement: bytes | None = None,
) -> int:
    """Log one fact in the caller's transaction and return its leaf index.

    A `statement` about it is signed by the registry, named by the entry, and kept beside it.

    Raises:
        FormatError: the entry is over the limit of an entry.
    """
    stated = sign_envelope(statement, runtime.decision_signer) if statement else None
    entry = LogEntry(
        event=event,
        at=runtime.clock(),
        actor=actor,
        subject=subject,
        evidence=dict(evidence or {}) | ({STATEMENT: stated.digest} if stated else {}),
        facts=dict(facts or {}),
    )
    session.flush()
    (index,) = append_entries(session, [entry])
    if stated:
        session.add(StatementRow(log_index=index, tenant=actor.tenant, envelope=encode_envelope(stated)))
    return index


def append_entries(
    session: Session,
    entries: Sequence[LogEntry],
    by: TextClause = _APPEND,
    kept: Mapping[str, object] = MappingProxyType({}),
) -> tuple[int, ...]:
    """Log several facts of one act, one after another, and return their leaf indices. Raises `FormatError` like `append`.

    What is `kept` by the same statement, made by `appending`, costs no round trip under the lock.
    """
    session.info.setdefault(AFTER_COMMIT, flush)
    rows = {
        "lock": APPEND_LOCK,
        "contents": [encode_log_entry(entry) for entry in entries],
        "times": [entry.at for entry in entries],
        "events": [entry.event.value for entry in entries],
        "tenants": [entry.actor.tenant for entry in entries],
        "actors": [entry.actor for entry in entries],
        "subjects": [entry.subject for entry in entries],
    }
    session.info[APPENDED] = True
    return tuple(session.scalars(by, {**rows, **kept}).all())


def statements_at(session: Session, indices: Collection[int]) -> dict[int, Envelope]:
    """What the registry stated about the acts of these entries, where it did."""
    rows = session.scalars(select(StatementRow).where(StatementRow.log_index.in_(indices)))
    return {row.log_index: parse_envelope(row.envelope) for row in rows}


def hold_end(session: Session) -> None:
    """Let nobody else append until the transaction ends (rule 1)."""
    session.execute(_HOLD_END, {"lock": APPEND_LOCK})


def require_flushed(session: Session) -> None:
    """Let the transaction end only once everything that it has seen is on disk (rule 4)."""
    if not session.scalar(_IS_FLUSHED):
        flush(session)


def tree_size(session: Session) -> int:
    """The number of entries that `session` sees."""
    newest = session.scalar(select(func.max(LogEntryRow.leaf_index)))
    return 0 if newest is None else newest + 1
