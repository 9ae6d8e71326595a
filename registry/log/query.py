"""Reading the log: entries by event, subject and actor; tiles and entry bundles as C2SP tlog-tiles serves them.

Entries by content are for a tenant's own auditors. Tiles are public: without all leaves nobody outside could check
that history was not rewritten, so entries hold ids and digests only (`sdk.spec.log_entry`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.log.proofs import node_reader
from registry.log.service import require_flushed, tree_size
from registry.log.tables import LogEntryRow
from registry.log.tree import Node
from registry.runtime import Runtime
from sdk.errors import NotFound
from sdk.policy.engine import enforce
from sdk.spec.api import LoggedEntry, LogPage, LogQuery
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, TenantName
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.log_tiles import TILE_HEIGHT, TILE_WIDTH, encode_entry_bundle, tile_path
from sdk.spec.policy import PolicyContext, PolicyDomain

MAX_TILE_LEVEL = 7  # 2**64 entries; tlog-tiles allows 0 to 63


def require_reader(runtime: Runtime, caller: Caller) -> None:
    """Return if policy lets the caller read entries. Raises `PolicyDenied`."""
    context = PolicyContext(
        domain=PolicyDomain.AUDIT_ACCESS, action="read_log", principal=caller.as_policy_principal, at=runtime.clock()
    )
    enforce(runtime.policy, context)


def require_reader_of_entry(session: Session, runtime: Runtime, caller: Caller, index: int) -> None:
    """Return if the caller may have the receipt of entry `index`: it is their own act, or policy lets them read all.

    Raises:
        NotFound: the caller's tenant has no such entry.
        PolicyDenied: it is somebody else's act.
    """
    require_entry_of(session, caller.tenant, index)
    if session.scalar(select(LogEntryRow.actor).where(LogEntryRow.leaf_index == index)) != caller.principal:
        require_reader(runtime, caller)


def page(session: Session, tenant: TenantName, query: LogQuery) -> LogPage:
    """The entries of `tenant` after index `query.after` that pass its filters, oldest first."""
    statement = select(LogEntryRow.leaf_index, LogEntryRow.content).where(
        *_passing(tenant, query), LogEntryRow.leaf_index > query.after
    )
    rows = session.execute(statement.order_by(LogEntryRow.leaf_index).limit(query.limit + 1)).all()
    entries = tuple(LoggedEntry(index=index, entry=parse_log_entry(content)) for index, content in rows[: query.limit])
    return LogPage(entries=entries, next_after=entries[-1].index if len(rows) > query.limit else None)


def before_newest(session: Session, tenant: TenantName, query: LogQuery) -> int:
    """The index after which the newest `query.limit` entries that pass its filters come; -1 when there are no more."""
    newest_first = (
        select(LogEntryRow.leaf_index).where(*_passing(tenant, query)).order_by(LogEntryRow.leaf_index.desc())
    )
    found = session.scalar(newest_first.offset(query.limit).limit(1))
    return -1 if found is None else found


def _passing(tenant: TenantName, query: LogQuery) -> list[ColumnElement[bool]]:
    asked = (
        (LogEntryRow.event, query.event and query.event.value),
        (LogEntryRow.subject, query.subject),
        (LogEntryRow.actor, query.actor),
    )
    return [LogEntryRow.tenant == tenant, *(column == wanted for column, wanted in asked if wanted is not None)]


def refused_decisions(
    session: Session,
    tenant: TenantName,
    concepts: Collection[ConceptId] | None,
    *,
    since: datetime | None,
    until: datetime | None,
    before: int,
    limit: int,
) -> Sequence[int]:
    """The indices of trainings, and of decisions on versions, that policy refused, newest first: of these concepts, or of all."""
    statement = select(LogEntryRow.leaf_index).where(
        LogEntryRow.tenant == tenant,
        LogEntryRow.event.in_((AuditEventType.APPROVAL_REFUSED.value, AuditEventType.TRAINING_DENIED.value)),
        LogEntryRow.leaf_index < before,
    )
    if concepts is not None:
        statement = statement.where(func.split_part(LogEntryRow.subject, "@", 1).in_(concepts))
    if since:
        statement = statement.where(LogEntryRow.at >= since)
    if until:
        statement = statement.where(LogEntryRow.at < until)
    return session.scalars(statement.order_by(LogEntryRow.leaf_index.desc()).limit(limit)).all()


def contents_of(session: Session, indices: Collection[int]) -> Mapping[int, bytes]:
    """The exact bytes of these entries, whoever's they are, by index; those that are not there are left out."""
    statement = select(LogEntryRow.leaf_index, LogEntryRow.content).where(LogEntryRow.leaf_index.in_(indices))
    return {row.leaf_index: row.content for row in session.execute(statement)}


def require_entry_of(session: Session, tenant: TenantName, index: int) -> None:
    """Return if entry `index` is there and of `tenant`. Raises `NotFound`."""
    found = session.scalar(select(LogEntryRow.tenant).where(LogEntryRow.leaf_index == index))
    if found != tenant:
        raise NotFound(f"{tenant} has no entry {index} in the log")


def tile(session: Session, level: int, index: int, width: int) -> bytes:
    """The first `width` hashes of a tile, concatenated. Raises `NotFound` when the log is not that long."""
    available = (tree_size(session) >> (TILE_HEIGHT * level)) - index * TILE_WIDTH
    if not 0 <= level <= MAX_TILE_LEVEL or width > available:
        raise NotFound(f"the log has no {tile_path(level, index, width=width)} yet")
    nodes = [Node(TILE_HEIGHT * level, index * TILE_WIDTH + offset) for offset in range(width)]
    stored = node_reader(session)(nodes)
    require_flushed(session)  # a full tile may be cached for ever
    return b"".join(stored[node] for node in nodes)


def entry_bundle(session: Session, index: int, width: int) -> bytes:
    """The first `width` entries under a level-0 tile. Raises `NotFound` when the log is not that long."""
    first = index * TILE_WIDTH
    if width > tree_size(session) - first:
        raise NotFound(f"the log has no entry bundle {index} of {width} entries yet")
    statement = select(LogEntryRow.content).where(LogEntryRow.leaf_index.between(first, first + width - 1))
    require_flushed(session)  # a full bundle may be cached for ever
    return encode_entry_bundle(session.scalars(statement.order_by(LogEntryRow.leaf_index)).all())


def opened_origin(session: Session) -> str | None:
    """The origin that entry 0, log:opened, names; none before the log is open."""
    return session.scalar(select(LogEntryRow.subject).where(LogEntryRow.leaf_index == 0))


def newest_index(session: Session, events: Sequence[AuditEventType]) -> int:
    """The place of the newest entry of one of these `events`. Raises `NotFound` when there is none."""
    found = session.scalar(
        select(func.max(LogEntryRow.leaf_index)).where(LogEntryRow.event.in_([event.value for event in events]))
    )
    if found is None:
        raise NotFound(f"the log has no entry {' or '.join(event.value for event in events)} yet")
    return found


def newest_evidence(session: Session, name: str, events: Sequence[AuditEventType]) -> Digest | None:
    """What the newest entry of one of these `events` names as evidence `name`."""
    statement = select(LogEntryRow.content).where(LogEntryRow.event.in_([event.value for event in events]))
    content = session.scalar(statement.order_by(LogEntryRow.leaf_index.desc()).limit(1))
    return None if content is None else parse_log_entry(content).evidence.get(name)
