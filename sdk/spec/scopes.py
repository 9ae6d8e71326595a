"""Scopes: what a credential may be used for, narrower than what the roles of its principal allow."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a credential may be used for, inside what its roles allow. `write` includes `read` of the same things."""

    CONCEPTS_READ = "concepts:read"  # concepts, versions, aliases, resolving, history
    CONCEPTS_WRITE = "concepts:write"  # creating concepts, submitting versions, setting aliases
    RECORDS_READ = "records:read"  # consents, licences, documents, reminders
    RECORDS_WRITE = "records:write"
    REVIEWS_READ = "reviews:read"  # the queue, requests, comments, renewals, what was opened early
    REVIEWS_WRITE = (
        "reviews:write"  # and asking for reviews, sending signed ones and revocations, break-glass, reinstatement
    )
    GENERATIONS_READ = "generations:read"  # generations, decisions, usage, royalties, identification
    GENERATIONS_WRITE = "generations:write"  # composing: intents, results, acknowledging that a version has ended
    LOG_READ = "log:read"  # entries and receipts
    TRAINING_WRITE = "training:write"  # the trainer, all of it
    CREDENTIALS_READ = "credentials:read"
    CREDENTIALS_WRITE = "credentials:write"  # issuing, rotating, revoking
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"

    def covers(self, wanted: Scope) -> bool:
        """Whether this scope is enough for what needs `wanted`."""
        (thing, act), (wanted_thing, wanted_act) = self.split(":"), wanted.split(":")
        return thing == wanted_thing and (act == wanted_act or act == "write")
