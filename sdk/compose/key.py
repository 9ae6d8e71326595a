"""The idempotency key of a compose call, which the registry counts its images under once, however often it is sent."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Self

from sdk.spec.api import GenerationIntent


@dataclass(kw_only=True)
class IntentKey:
    """The key of every intent of one call.

    What fails on kept premises is tried once more (`sdk.compose.premises`), and may then be another intent. The registry
    permits one intent under a key; so another one has a fresh key, if the first was permitted.
    """

    text: str
    permitted: GenerationIntent | None = None  # under it, by the registry

    @classmethod
    def fresh(cls) -> Self:
        """A key that no other call has."""
        return cls(text=secrets.token_urlsafe(24))

    def fitting(self, intent: GenerationIntent) -> GenerationIntent:
        """An intent under this key, as it is to be sent."""
        if self.permitted in (None, intent):
            return intent
        return intent.model_copy(update={"idempotency_key": self.fresh().text})
