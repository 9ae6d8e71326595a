"""Delivering one subscription's messages: in the order of the log, each until it arrives or is given up. At least once.

1. The next message is the first entry after the subscription's position that it asks for; nothing is queued beside the
   log, so nothing can be lost between the two, and a replay is a position that is set back.
2. It is sent outside of any transaction. That it arrived is recorded after; a crash in between sends it again, under the
   same `webhook-id`, by which receivers tell.
3. A failure is tried again after the pauses of the specification. Later messages wait: order is kept. After the last
   pause the message is given up, which is recorded. A receiver that answers 410 Gone ends its subscription, which is logged.
4. What is recorded is guarded by the position that was read: of two workers at once, or a replay meanwhile, one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from registry.log.service import append, require_flushed, tree_size
from registry.log.tables import LogEntryRow
from registry.runtime import Runtime
from registry.webhooks.sending import Attempt, Message, Send
from registry.webhooks.service import message_id
from registry.webhooks.tables import WebhookDeliveryRow, WebhookRow
from sdk.spec.canonical import encode_canonical
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.webhooks import DeliveryOutcome, WebhookData, WebhookEventType, WebhookMessage

PAUSES: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # of Standard Webhooks
)
AT_ONCE: Final = 100  # messages of one subscription before others have their turn
TURN: Final = timedelta(seconds=30)  # or so long: a slow receiver may take a whole attempt for each message
_DUE: Final = text(
    """
    SELECT id, tenant FROM webhooks
     WHERE ended_at IS NULL AND (due_at IS NULL OR due_at <= :now)
       AND position < (SELECT max(leaf_index) FROM log_entries)
     ORDER BY id
    """
)


@dataclass(frozen=True, kw_only=True)
class Due:
    """A subscription that may have something to send."""

    webhook: str
    tenant: TenantName


@dataclass(frozen=True, kw_only=True)
class _Next:
    url: str
    index: int
    position: int
    attempts: int
    message: Message

    @property
    def stood(self) -> tuple[int, int]:
        """Where the subscription stood when it was read."""
        return self.position, self.attempts


def due(session: Session, now: datetime) -> list[Due]:
    """The subscriptions of all tenants that have something new, as the database's owner sees them."""
    return [Due(webhook=row.id, tenant=TenantName(row.tenant)) for row in session.execute(_DUE, {"now": now})]


def deliver(runtime: Runtime, work: Due, send: Send) -> int:
    """Send what waits, up to `AT_ONCE` messages, the end of the `TURN` or the first failure; returns how many arrived."""
    end = runtime.clock() + TURN
    for count in range(AT_ONCE):
        if count and runtime.clock() >= end:
            return count
        with runtime.transaction(work.tenant) as session:
            found = _next(session, runtime, work)
        if found is None:
            return count
        attempt = send(found.url, found.message, runtime.clock())
        with runtime.transaction(work.tenant) as session:
            _record(session, runtime, work, found, attempt)
        if attempt.fault:
            return count
    return AT_ONCE


def _next(session: Session, runtime: Runtime, work: Due) -> _Next | None:
    row = session.get(WebhookRow, work.webhook)
    if row is None or row.ended_at is not None or (row.due_at and row.due_at > runtime.clock()):
        return None
    seen = tree_size(session) - 1
    statement = select(LogEntryRow.leaf_index, LogEntryRow.content).where(
        LogEntryRow.tenant == work.tenant,
        LogEntryRow.event.in_(row.events),
        LogEntryRow.leaf_index > row.position,
    )
    entry = session.execute(statement.order_by(LogEntryRow.leaf_index).limit(1)).first()
    if entry is None:
        stood = row.position, row.attempts
        _move(session, work, stood, position=seen)  # nothing of it up to here, so it is not looked at again
        return None
    require_flushed(session)  # the message is signed
    index, content = entry
    message = Message(id=message_id(row.id, index), content=_body(index, content))
    return _Next(url=row.url, index=index, position=row.position, attempts=row.attempts, message=message)


def _record(session: Session, runtime: Runtime, work: Due, sent: _Next, attempt: Attempt) -> None:
    tried, now = sent.attempts + 1, runtime.clock()
    if attempt.gone:
        if _move(session, work, sent.stood, ended_at=now, attempts=tried, last_fault=attempt.fault):
            append(
                session,
                runtime,
                event=AuditEventType.WEBHOOK_ENDED,
                actor=PrincipalId(f"{work.tenant}/registry"),  # the registry itself, told by the receiver
                subject=work.webhook,
                facts={"answered": str(attempt.status)},
            )
    elif attempt.fault and tried <= len(PAUSES):
        due_at = now + PAUSES[tried - 1]
        _move(session, work, sent.stood, attempts=tried, due_at=due_at, last_fault=attempt.fault)
    elif _move(session, work, sent.stood, position=sent.index, attempts=0, due_at=None, last_fault=attempt.fault):
        outcome = DeliveryOutcome.GIVEN_UP if attempt.fault else DeliveryOutcome.DELIVERED
        mine = select(func.coalesce(func.max(WebhookDeliveryRow.place), 0)).where(
            WebhookDeliveryRow.webhook_id == work.webhook
        )
        session.add(
            WebhookDeliveryRow(
                webhook_id=work.webhook,
                place=(session.scalar(mine) or 0) + 1,
                log_index=sent.index,
                outcome=outcome.value,
                attempts=tried,
                status=attempt.status,
                at=now,
            )
        )


def _move(session: Session, work: Due, was: tuple[int, int], **values: object) -> bool:
    """Change where the subscription stands, if its position and its attempts still are what they were read as."""
    position, attempts = was
    statement = (
        update(WebhookRow)
        .where(WebhookRow.id == work.webhook, WebhookRow.ended_at.is_(None))
        .where(WebhookRow.position == position, WebhookRow.attempts == attempts)
        .values(**values)
        .returning(WebhookRow.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement) is not None


def _body(index: int, content: bytes) -> bytes:
    entry = parse_log_entry(content)
    data = WebhookData(
        index=index, subject=entry.subject, actor=entry.actor, evidence=entry.evidence, facts=entry.facts
    )
    kind = WebhookEventType(entry.event.value.replace(":", "."))
    return encode_canonical(WebhookMessage(type=kind, timestamp=entry.at, data=data))
