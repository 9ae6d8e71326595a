"""Subscribing to events, ending and replaying subscriptions, and how deliveries went. Policy decides; every act is logged."""

from __future__ import annotations

import base64
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.credentials.service import require_administration
from registry.log.service import append
from registry.outbound import Addresses
from registry.paging import page_of
from registry.runtime import Runtime
from registry.webhooks.tables import WebhookDeliveryRow, WebhookRow
from sdk.errors import Conflict, NotFound
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.webhooks import (
    DeliveryOutcome,
    DeliveryPage,
    DeliveryView,
    NewWebhook,
    WebhookEventType,
    WebhookPage,
    WebhookView,
)

ACTION = "manage_webhooks"
MOST = 50
"""Subscriptions in force of one tenant."""


def subscribe(session: Session, runtime: Runtime, caller: Caller, new: NewWebhook, addresses: Addresses) -> WebhookView:
    """Send these events to this address from the next entry of the log on.

    Raises:
        PolicyDenied: the caller may not.
        InputError: the address may not be sent to.
        Conflict: the tenant has as many subscriptions as it may.
    """
    require_administration(runtime, caller, ACTION)
    addresses.pin(new.url)
    mine = select(WebhookRow.id).where(WebhookRow.tenant == caller.tenant, WebhookRow.ended_at.is_(None))
    if len(session.scalars(mine.limit(MOST)).all()) >= MOST:
        raise Conflict(f"{caller.tenant} has {MOST} webhooks; end one that is not needed")
    made = f"whk_{base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]}"
    index = append(
        session,
        runtime,
        event=AuditEventType.WEBHOOK_CREATED,
        actor=caller.principal,
        subject=made,
        evidence={"url": Digest.of(f"{made}\n{new.url}".encode())},
        facts={"events": " ".join(new.events)},
    )
    row = WebhookRow(
        id=made,
        tenant=caller.tenant,
        url=new.url,
        events=[event.logged_as.value for event in new.events],
        description=new.description,
        created_by=caller.principal,
        created_at=runtime.clock(),
        log_index=index,
        ended_at=None,
        position=index,
        attempts=0,
        due_at=None,
        last_fault=None,
    )
    session.add(row)
    session.flush()
    return view_of(row)


def page(session: Session, runtime: Runtime, caller: Caller, query: PageQuery) -> WebhookPage:
    """The subscriptions of the tenant, oldest first. Raises `PolicyDenied`."""
    require_administration(runtime, caller, ACTION)
    statement = select(WebhookRow).where(WebhookRow.tenant == caller.tenant)
    rows, cursor = page_of(
        session, statement, query, by=[WebhookRow.log_index], key=lambda row: (row.log_index,), kinds=[int]
    )
    return WebhookPage(webhooks=tuple(view_of(row) for row in rows), next_cursor=cursor)


def deliveries(session: Session, runtime: Runtime, caller: Caller, webhook: str, query: PageQuery) -> DeliveryPage:
    """How the deliveries of a subscription ended, oldest first. Raises `PolicyDenied`, `NotFound`."""
    row = _load(session, runtime, caller, webhook)
    statement = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id)
    rows, cursor = page_of(
        session, statement, query, by=[WebhookDeliveryRow.place], key=lambda row: (row.place,), kinds=[int]
    )
    return DeliveryPage(deliveries=tuple(_delivery(row) for row in rows), next_cursor=cursor)


def end(session: Session, runtime: Runtime, caller: Caller, webhook: str) -> WebhookView:
    """Send nothing more. Raises `PolicyDenied`, `NotFound`, and `Conflict` when it ended before."""
    row = _load(session, runtime, caller, webhook)
    _require_in_force(row)
    append(session, runtime, event=AuditEventType.WEBHOOK_ENDED, actor=caller.principal, subject=row.id)
    row.ended_at = runtime.clock()
    session.flush()
    return view_of(row)


def replay(session: Session, runtime: Runtime, caller: Caller, webhook: str, after: int) -> WebhookView:
    """Send everything after entry `after` again; what is before the subscription too.

    Raises:
        PolicyDenied, NotFound: see `end`.
        Conflict: it has ended, or has not come as far as `after`: nothing is ever left out by a replay.
    """
    row = _load(session, runtime, caller, webhook)
    _require_in_force(row)
    if after > row.position:
        raise Conflict(f"{row.id} has come to entry {row.position} only; a replay goes back, it never leaves out")
    append(
        session,
        runtime,
        event=AuditEventType.WEBHOOK_REPLAYED,
        actor=caller.principal,
        subject=row.id,
        facts={"after": str(after)},
    )
    row.position, row.attempts, row.due_at, row.last_fault = after, 0, None, None
    session.flush()
    return view_of(row)


def view_of(row: WebhookRow) -> WebhookView:
    """A subscription as it travels."""
    return WebhookView(
        id=row.id,
        url=row.url,
        events=tuple(WebhookEventType(event.replace(":", ".")) for event in row.events),
        description=row.description,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
        position=row.position,
        attempts=row.attempts,
        due_at=row.due_at,
        last_fault=row.last_fault,
    )


def message_id(webhook: str, index: int) -> str:
    """The `webhook-id` of an entry for a subscription: the same whenever it is sent."""
    return f"msg_{webhook.removeprefix('whk_')}_{index}"


def _load(session: Session, runtime: Runtime, caller: Caller, webhook: str) -> WebhookRow:
    require_administration(runtime, caller, ACTION)
    row = session.scalar(select(WebhookRow).where(WebhookRow.id == webhook).with_for_update())
    if row is None or row.tenant != caller.tenant:
        raise NotFound(f"{caller.tenant} has no webhook {webhook}; see the list")
    return row


def _require_in_force(row: WebhookRow) -> None:
    if row.ended_at is not None:
        raise Conflict(f"{row.id} ended at {row.ended_at:%Y-%m-%dT%H:%M:%SZ}; subscribe anew")


def _delivery(row: WebhookDeliveryRow) -> DeliveryView:
    return DeliveryView(
        message=message_id(row.webhook_id, row.log_index),
        log_index=row.log_index,
        outcome=DeliveryOutcome(row.outcome),
        attempts=row.attempts,
        status=row.status,
        at=row.at,
    )
