"""/v1/webhooks. Delivering is not here; that is the worker's."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path

from registry.auth import CallerDep
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from registry.webhooks import service
from sdk.errors import ServiceUnavailable
from sdk.spec.webhooks import (
    PUBLIC_KEY_PREFIX,
    DeliveryPage,
    NewWebhook,
    Replay,
    WebhookKey,
    WebhookPage,
    WebhookView,
)

Id = Annotated[str, Path(pattern=r"^whk_[a-z2-7]{26}$")]

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.get("/key")
def get_webhook_key(runtime: RuntimeDep, caller: CallerDep) -> WebhookKey:
    """The key that verifies what is sent."""
    if runtime.webhook_signer is None:
        raise ServiceUnavailable(
            "this registry has no webhook key yet; its operator runs 'imprimatur registry deliver'"
        )
    return WebhookKey(public_key=PUBLIC_KEY_PREFIX + base64.b64encode(runtime.webhook_signer.public_key).decode())


@router.post("", status_code=201)
def create_webhook(new: NewWebhook, runtime: RuntimeDep, caller: CallerDep) -> WebhookView:
    """Subscribe to events of the caller's tenant."""
    with runtime.transaction(caller.tenant) as session:
        return service.subscribe(session, runtime, caller, new, runtime.addresses)


@router.get("")
def list_webhooks(page: PageDep, runtime: RuntimeDep, caller: CallerDep) -> WebhookPage:
    """The subscriptions of the caller's tenant, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        return service.page(session, runtime, caller, page)


@router.get("/{webhook}/deliveries")
def list_deliveries(webhook: Id, page: PageDep, runtime: RuntimeDep, caller: CallerDep) -> DeliveryPage:
    """How the deliveries of a subscription ended, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        return service.deliveries(session, runtime, caller, webhook, page)


@router.post("/{webhook}/replay", status_code=201)
def replay_webhook(webhook: Id, replay: Replay, runtime: RuntimeDep, caller: CallerDep) -> WebhookView:
    """Send what was sent before again, under the same ids."""
    with runtime.transaction(caller.tenant) as session:
        return service.replay(session, runtime, caller, webhook, replay.after)


@router.post("/{webhook}/end", status_code=201)
def end_webhook(webhook: Id, runtime: RuntimeDep, caller: CallerDep) -> WebhookView:
    """End a subscription."""
    with runtime.transaction(caller.tenant) as session:
        return service.end(session, runtime, caller, webhook)
