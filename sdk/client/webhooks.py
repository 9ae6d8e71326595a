"""Calls about webhooks."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.webhooks import DeliveryPage, NewWebhook, Replay, WebhookId, WebhookKey, WebhookPage, WebhookView


class WebhookCalls:
    """The registry's webhooks; mixed into `Client`."""

    _registry: Service

    def webhook_key(self) -> WebhookKey:
        """GET /v1/webhooks/key: what verifies a delivery's signature."""
        return self._registry.get("/v1/webhooks/key", WebhookKey)

    def create_webhook(self, new: NewWebhook) -> WebhookView:
        """POST /v1/webhooks."""
        return self._registry.post("/v1/webhooks", new, WebhookView)

    def list_webhooks(self) -> WebhookPage:
        """GET /v1/webhooks."""
        return self._registry.get_pages("/v1/webhooks", WebhookPage)

    def list_deliveries(self, webhook: WebhookId) -> DeliveryPage:
        """GET /v1/webhooks/{id}/deliveries."""
        return self._registry.get_pages(f"/v1/webhooks/{webhook}/deliveries", DeliveryPage)

    def replay_webhook(self, webhook: WebhookId, after: int) -> WebhookView:
        """POST /v1/webhooks/{id}/replay."""
        return self._registry.post(f"/v1/webhooks/{webhook}/replay", Replay(after=after), WebhookView)

    def end_webhook(self, webhook: WebhookId) -> WebhookView:
        """POST /v1/webhooks/{id}/end."""
        return self._registry.post(f"/v1/webhooks/{webhook}/end", None, WebhookView)
