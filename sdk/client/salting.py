"""Records about persons get a salt before they are sent: the log keeps their digest for ever, and nobody is to guess it."""

from __future__ import annotations

import secrets
from typing import TypeVar

from sdk.spec.consent_events import ConsentAnswer, LifeEventReport
from sdk.spec.terms import ConsentRecord

_SALT_BYTES = 16
_Salted = TypeVar("_Salted", ConsentRecord, ConsentAnswer, LifeEventReport)


def salted(record: _Salted) -> _Salted:
    """The record as it is, or with a new salt if it has none."""
    return record if record.salt else record.model_copy(update={"salt": secrets.token_hex(_SALT_BYTES)})
