"""Where a consent stands: the whole rule on one screen; the table is the documentation.

    requested --give--> given --ask--> reconfirmation-due --re-confirm--> given
        |                 |                    |---refuse---> refused
        `--refuse--> refused                   |--withdraw--> withdrawn
                          |--re-confirm--> given
                          |--withdraw----> withdrawn
                          `--expire------> expired --withdraw--> withdrawn

Time needs no job: a consent expires by the clock, and so falls due when a minor comes of age (`status_at`). What is
expired is never confirmed: approvals sign the term, so a new record and a new review are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from sdk.errors import Conflict
from sdk.spec.consent_events import ConsentEvent
from sdk.spec.terms import ConsentRecord, ConsentStatus

TRANSITIONS: Final[Mapping[tuple[ConsentStatus, ConsentEvent], ConsentStatus]] = MappingProxyType(
    {
        (ConsentStatus.REQUESTED, ConsentEvent.GIVE): ConsentStatus.GIVEN,
        (ConsentStatus.REQUESTED, ConsentEvent.REFUSE): ConsentStatus.REFUSED,
        (ConsentStatus.GIVEN, ConsentEvent.ASK): ConsentStatus.RECONFIRMATION_DUE,
        (ConsentStatus.GIVEN, ConsentEvent.RECONFIRM): ConsentStatus.GIVEN,
        (ConsentStatus.GIVEN, ConsentEvent.WITHDRAW): ConsentStatus.WITHDRAWN,
        (ConsentStatus.GIVEN, ConsentEvent.EXPIRE): ConsentStatus.EXPIRED,
        (ConsentStatus.RECONFIRMATION_DUE, ConsentEvent.ASK): ConsentStatus.RECONFIRMATION_DUE,
        (ConsentStatus.RECONFIRMATION_DUE, ConsentEvent.RECONFIRM): ConsentStatus.GIVEN,
        (ConsentStatus.RECONFIRMATION_DUE, ConsentEvent.REFUSE): ConsentStatus.REFUSED,
        (ConsentStatus.RECONFIRMATION_DUE, ConsentEvent.WITHDRAW): ConsentStatus.WITHDRAWN,
        (ConsentStatus.RECONFIRMATION_DUE, ConsentEvent.EXPIRE): ConsentStatus.EXPIRED,
        (ConsentStatus.EXPIRED, ConsentEvent.WITHDRAW): ConsentStatus.WITHDRAWN,
    }
)


@dataclass(frozen=True, kw_only=True)
class Happened:
    """An event that was recorded; `expressed_on` is the day of an answer."""

    event: ConsentEvent
    expressed_on: date | None = None


def advance(status: ConsentStatus, event: ConsentEvent, consent: str) -> ConsentStatus:
    """The status of `consent` after `event`. Raises `Conflict`: the pair is not in the table."""
    if (after := TRANSITIONS.get((status, event))) is None:
        possible = ", ".join(known.value for start, known in TRANSITIONS if start is status) or "nothing more"
        raise Conflict(f"{consent} is {status.value}, so {event.value} is not possible; possible is: {possible}")
    return after


def first_event(record: ConsentRecord) -> ConsentEvent:
    """How a record begins."""
    return ConsentEvent.REFUSE if record.refused else ConsentEvent.GIVE


def status_at(record: ConsentRecord, events: Sequence[Happened], at: datetime) -> ConsentStatus:
    """What `events`, in their order, and the clock make of a record at the moment `at`."""
    status = advance(ConsentStatus.REQUESTED, first_event(record), "the consent")
    for happened in events:
        status = advance(status, happened.event, "the consent")
    for event in due_by_clock(record, events, at):
        status = TRANSITIONS.get((status, event), status)
    return status


def due_by_clock(record: ConsentRecord, events: Sequence[Happened], at: datetime) -> tuple[ConsentEvent, ...]:
    """What the clock alone has brought by the moment `at`, in the order in which it counts."""
    asked = (ConsentEvent.ASK,) if record.of_age_unconfirmed(confirmed_on(events), at) else ()
    return asked + ((ConsentEvent.EXPIRE,) if at >= record.terms.valid_until else ())


def confirmed_on(events: Sequence[Happened]) -> date | None:
    """The day on which a record was last confirmed anew."""
    days = [happened.expressed_on for happened in events if happened.event is ConsentEvent.RECONFIRM]
    return max((day for day in days if day), default=None)
