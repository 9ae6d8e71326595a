"""Reminders: a term that ends soon, or a minor who comes of age soon. The registry makes each once, `reminder_days` before.

    GET   /v1/reminders?cursor=&limit=                       ReminderPage

The log's entry (`term:ending`, webhook `term.ending`) names the record and what rests on it; which day it is, and of what, is
read here, with a credential: the log tells nobody when a child comes of age.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from sdk.spec.canonical import WireModel
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.paging import Page


class ReminderKind(StrEnum):
    """What is about to happen to a record."""

    CONSENT_TERM = "consent-term"  # the term of a consent ends; versions that rest on it expire
    LICENCE_TERM = "licence-term"  # the same of a licence
    OF_AGE = "of-age"  # a minor comes of age: the consent has to be confirmed anew, what rests on it is suspended


class Reminder(WireModel):
    """A record and the day that is near."""

    record: RecordId
    kind: ReminderKind
    due_at: AwareDatetime
    covers: tuple[ConceptId, ...]
    versions: tuple[str, ...]  # "tenant/name@number": approved now, and its approval ends with this term
    reminded_at: AwareDatetime
    over: bool  # the day has come, or the record counts no more
    log_index: int


class ReminderPage(Page):
    """All of a tenant, in the order in which they were made."""

    reminders: tuple[Reminder, ...]
