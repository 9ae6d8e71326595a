"""What contradicts the rules in a verified log, in words: generations that are listed otherwise than their entries tell, or were
permitted with versions that might not be used. Step 5 of `sdk.audit`. Pure.

Of a version the log's own entries count, in their order: what makes it usable is `_MOVES`, and what has ended never comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sdk.audit import VerifiedLog
from sdk.spec.api import GenerationView
from sdk.spec.break_glass import MAX_LIFE
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName
from sdk.spec.log_entry import AuditEventType, LogEntry


class _Standing(StrEnum):
    """How a version stands, as its entries tell."""

    WAITING = "waiting"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    ENDED = "ended"


_MOVES: Final[Mapping[tuple[_Standing, AuditEventType], _Standing]] = MappingProxyType(
    {
        (_Standing.WAITING, AuditEventType.VERSION_APPROVED): _Standing.APPROVED,
        (_Standing.APPROVED, AuditEventType.VERSION_SUSPENDED): _Standing.SUSPENDED,
        (_Standing.SUSPENDED, AuditEventType.VERSION_REINSTATED): _Standing.APPROVED,
        (_Standing.SUSPENDED, AuditEventType.VERSION_RENEWED): _Standing.APPROVED,
    }
)
"""What makes a version usable, or not for a while; whatever else is told of it changes nothing, or ends it for good."""
_ENDING: Final = frozenset(
    {AuditEventType.VERSION_REVOKED, AuditEventType.VERSION_SUPERSEDED, AuditEventType.VERSION_REJECTED}
)
_TOLD: Final = _ENDING | {event for _, event in _MOVES} | {AuditEventType.VERSION_BREAK_GLASS}


def find_faults(log: VerifiedLog, generations: Sequence[GenerationView], *, tenant: TenantName) -> tuple[str, ...]:
    """What contradicts the rules, in words (step 5): generations that the log does not bear out, or the reverse.

    `generations` are all of `tenant`, listed after the log was fetched: those newer than its checkpoint are left to
    the next audit, and other tenants' entries to their auditors.
    """
    return (
        *find_contradictions(log, generations),
        *_faults_of_uses(log, generations),
        *_faults_of_entries(log, generations, tenant),
    )


def find_contradictions(log: VerifiedLog, generations: Sequence[GenerationView]) -> tuple[str, ...]:
    """What the registry lists of generations otherwise than their entries in the log tell it, in words."""
    return tuple(fault for view in _decided_in(log, generations) for fault in _contradictions(log, view))


def _decided_in(log: VerifiedLog, generations: Sequence[GenerationView]) -> Iterator[GenerationView]:
    """Those that `log` is old enough to tell of; what is newer waits for the next audit."""
    return (view for view in generations if view.intent_index < len(log.entries))


def _contradictions(log: VerifiedLog, view: GenerationView) -> Iterator[str]:
    decided = AuditEventType.GENERATION_PERMITTED if view.decision.permitted else AuditEventType.GENERATION_DENIED
    if not _is_entry(log, view.intent_index, decided, view.id):
        yield f"{view.id}: entry {view.intent_index} of the log is not {decided.value} of it"
        return
    entry = log.entries[view.intent_index]
    told: dict[str, tuple[object, object]] = {
        "application": (entry.actor, view.application),
        "versions": (tuple(entry.facts.get("versions", "").split()), view.versions),
        "intent": (entry.evidence.get("intent"), Digest.of(encode_canonical(view.intent))),
    }
    if view.result_index is not None and view.result_index < len(log.entries):
        if not _is_entry(log, view.result_index, AuditEventType.GENERATION_RECORDED, view.id):
            yield f"{view.id}: entry {view.result_index} of the log is not generation:recorded of it"
        else:
            result = log.entries[view.result_index]
            told["number of images"] = (result.facts.get("images"), str(len(view.images)))
    for name, (logged, listed) in told.items():
        if logged != listed:
            yield f"{view.id}: the registry lists another {name} than the log tells ({listed}, not {logged})"


def _faults_of_uses(log: VerifiedLog, generations: Sequence[GenerationView]) -> Iterator[str]:
    for view in _decided_in(log, generations):
        if view.decision.permitted:
            for version in view.versions:
                yield from _faults_of_use(log, view, version)


def _faults_of_use(log: VerifiedLog, view: GenerationView, version: str) -> Iterator[str]:
    """`version` must stand approved before the intent, or wait, and be open by a break-glass."""
    standing, last, opened = _Standing.WAITING, None, False
    at = log.entries[view.intent_index].at
    for entry in log.entries[: view.intent_index]:
        if entry.subject != version or entry.event not in _TOLD:
            continue
        last = entry.event
        opened = entry.event is AuditEventType.VERSION_BREAK_GLASS and at < _expiry(entry)  # whatever follows shuts it
        standing = _Standing.ENDED if entry.event in _ENDING else _MOVES.get((standing, entry.event), standing)
    if standing is not _Standing.APPROVED and not (standing is _Standing.WAITING and opened):
        was = "never approved" if last is None else f"last {last.value}"
        yield f"{view.id}: permitted at entry {view.intent_index} with {version}, which was {was}"


def _expiry(opened: LogEntry) -> datetime:
    """When a break-glass ends, as its entry says: never later than it may, and at once when that cannot be read."""
    try:
        return min(datetime.fromisoformat(opened.facts["expires_at"]), opened.at + MAX_LIFE)
    except (KeyError, ValueError, TypeError):
        return opened.at


def _faults_of_entries(log: VerifiedLog, generations: Sequence[GenerationView], tenant: TenantName) -> Iterator[str]:
    known = {str(view.id): view for view in generations}
    for index, entry in enumerate(log.entries):
        if entry.actor.tenant != tenant:
            continue
        view = known.get(entry.subject)
        if entry.event is AuditEventType.GENERATION_PERMITTED and view is None:
            yield f"{entry.subject}: permitted at entry {index}, but the registry does not list it"
        if entry.event is AuditEventType.GENERATION_RECORDED and view and view.result_index is None:
            yield f"{entry.subject}: its result is entry {index} of the log, but the registry lists none"


def _is_entry(log: VerifiedLog, index: int, event: AuditEventType, subject: str) -> bool:
    if not 0 <= index < len(log.entries):
        return False
    return log.entries[index].event is event and log.entries[index].subject == subject
