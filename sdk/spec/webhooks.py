"""Webhooks: which events are sent where, as Standard Webhooks 1.0 with `v1a` (Ed25519) signatures.

    GET   /v1/webhooks/key                                   WebhookKey
    POST  /v1/webhooks                                       NewWebhook -> WebhookView (admin, as all from here on)
    GET   /v1/webhooks?cursor=&limit=                        WebhookPage
    GET   /v1/webhooks/{id}/deliveries?cursor=&limit=        DeliveryPage
    POST  /v1/webhooks/{id}/replay                           Replay -> WebhookView
    POST  /v1/webhooks/{id}/end                              WebhookView

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
A message says that an entry is in the audit log, and is no proof of it: `data.index` names the entry, whose receipt is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, field_validator

from sdk.spec.api import AfterIndex, PlainText
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import Page

PUBLIC_KEY_PREFIX = "whpk_"

WebhookId = Annotated[str, Field(pattern=r"^whk_[a-z2-7]{26}$")]
"""A subscription."""


class WebhookEventType(StrEnum):
    """What can be subscribed to: the facts of the log that others act on, as `subject.act`."""

    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    LICENCE_GRANTED = "licence.granted"
    TERM_ENDING = "term.ending"
    VERSION_SUBMITTED = "version.submitted"
    VERSION_APPROVED = "version.approved"
    VERSION_RENEWED = "version.renewed"
    VERSION_BREAK_GLASS = "version.break_glass"
    VERSION_REJECTED = "version.rejected"
    VERSION_SUSPENDED = "version.suspended"
    VERSION_SUPERSEDED = "version.superseded"
    VERSION_REVOKED = "version.revoked"
    ALIAS_SET = "alias.set"
    GENERATION_PERMITTED = "generation.permitted"
    GENERATION_DENIED = "generation.denied"
    GENERATION_RECORDED = "generation.recorded"
    CREDENTIAL_ISSUED = "credential.issued"
    CREDENTIAL_ROTATED = "credential.rotated"
    CREDENTIAL_REVOKED = "credential.revoked"

    @property
    def logged_as(self) -> AuditEventType:
        """The same fact as the log names it."""
        return AuditEventType(self.value.replace(".", ":"))


class DeliveryOutcome(StrEnum):
    """How the delivery of one message ended."""

    DELIVERED = "delivered"  # the receiver answered 2xx
    GIVEN_UP = "given-up"  # every attempt failed; the next message is not held up any longer


class NewWebhook(WireModel):
    """Send these events of the caller's tenant to this address, from now on."""

    url: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s]+$")]
    events: tuple[WebhookEventType, ...] = Field(min_length=1, max_length=len(WebhookEventType))
    description: PlainText = Field(default="", max_length=200)

    @field_validator("events")
    @classmethod
    def _named_once(cls, events: tuple[WebhookEventType, ...]) -> tuple[WebhookEventType, ...]:
        if len(set(events)) != len(events):
            raise ValueError("an event is named twice")
        return events


class WebhookView(WireModel):
    """A subscription and where it stands."""

    id: WebhookId
    url: str
    events: tuple[WebhookEventType, ...]
    description: str
    created_by: PrincipalId
    created_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    position: int  # index of the newest entry of the log that was dealt with
    attempts: int  # failed ones at the message that is to be delivered now
    due_at: AwareDatetime | None = None  # of the next attempt, after one that failed
    last_fault: str | None = None


class WebhookPage(Page):
    webhooks: tuple[WebhookView, ...]


class Replay(WireModel):
    """Send everything after this index of the log again, under the same ids as before."""

    after: AfterIndex


class DeliveryView(WireModel):
    """One message, and how its delivery ended."""

    message: str  # the `webhook-id`
    log_index: int
    outcome: DeliveryOutcome
    attempts: int
    status: int | None = None  # of the last answer; none: there was no answer
    at: AwareDatetime


class DeliveryPage(Page):
    deliveries: tuple[DeliveryView, ...]


class WebhookKey(WireModel):
    """The key that verifies `v1a` signatures: `whpk_` and the base64 of 32 raw Ed25519 bytes."""

    public_key: str


class WebhookData(WireModel):
    """What a message tells: the entry of the log without its time, which is the message's own."""

    index: int
    subject: str
    actor: PrincipalId
    evidence: dict[str, Digest]
    facts: dict[str, str]


class WebhookMessage(WireModel):
    """The body of a delivery."""

    type: WebhookEventType
    timestamp: AwareDatetime
    data: WebhookData
