"""What happens to a consent after it was given: answers, life events, and the receipt for the person. HTTP bodies.

The order of things: a life event makes every consent about the person fall due; whoever may confirm for them then
answers, or withdraws. Both tables below are the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.log_entry import AuditEventType, LogReceipt
from sdk.spec.terms import Capacity, ConsentRecord, ConsentStatus, Evidence, Expression
from sdk.spec.texts import Pseudonym, Salt, ShortText


class ConsentEvent(StrEnum):
    """What can happen to a consent."""

    GIVE = "give"
    REFUSE = "refuse"  # the answer is no, at first or to a re-confirmation
    ASK = "ask"  # a life event: it is asked for anew
    RECONFIRM = "re-confirm"  # the answer is yes, by whoever may now say so
    WITHDRAW = "withdraw"
    EXPIRE = "expire"  # by the clock


LOGGED_AS: Final[Mapping[ConsentEvent, AuditEventType]] = MappingProxyType(
    {
        ConsentEvent.GIVE: AuditEventType.CONSENT_GIVEN,
        ConsentEvent.REFUSE: AuditEventType.CONSENT_REFUSED,
        ConsentEvent.ASK: AuditEventType.CONSENT_ASKED,
        ConsentEvent.RECONFIRM: AuditEventType.CONSENT_RECONFIRMED,
        ConsentEvent.WITHDRAW: AuditEventType.CONSENT_WITHDRAWN,
    }
)
"""How the log names them; the clock is not logged."""


class LifeEvent(StrEnum):
    """What changes who may consent for a person."""

    OF_AGE = "of-age"  # a minor came of age
    DIED = "died"
    ESTATE_CHANGED = "estate-changed"  # handed over to other heirs or administrators
    GUARDIAN_CHANGED = "guardian-changed"
    AGENT_CHANGED = "agent-changed"


MAY_CONFIRM: Final[Mapping[LifeEvent, frozenset[Capacity]]] = MappingProxyType(
    {
        LifeEvent.OF_AGE: frozenset({Capacity.SELF, Capacity.AGENT}),
        LifeEvent.DIED: frozenset({Capacity.ESTATE}),
        LifeEvent.ESTATE_CHANGED: frozenset({Capacity.ESTATE}),
        LifeEvent.GUARDIAN_CHANGED: frozenset({Capacity.GUARDIAN}),
        LifeEvent.AGENT_CHANGED: frozenset({Capacity.SELF, Capacity.AGENT, Capacity.GUARDIAN, Capacity.ESTATE}),
    }
)
"""In which capacity a consent is confirmed after a life event."""

SPEAKS_NO_MORE: Final[Mapping[LifeEvent, frozenset[Capacity]]] = MappingProxyType(
    {
        LifeEvent.OF_AGE: frozenset({Capacity.GUARDIAN}),
        LifeEvent.DIED: frozenset({Capacity.SELF, Capacity.GUARDIAN, Capacity.AGENT}),
        LifeEvent.ESTATE_CHANGED: frozenset({Capacity.ESTATE}),
        LifeEvent.GUARDIAN_CHANGED: frozenset({Capacity.GUARDIAN}),
        LifeEvent.AGENT_CHANGED: frozenset({Capacity.AGENT}),
    }
)
"""Whose binding to the person's pseudonym ends with a life event; whoever follows is bound afterwards."""


def may_confirm(happened: Sequence[LifeEvent]) -> frozenset[Capacity]:
    """In which capacities a consent is confirmed after these life events, oldest first; in any when there were none."""
    allowed = MAY_CONFIRM[happened[-1]] if happened else frozenset(Capacity)
    if LifeEvent.DIED in happened:
        return allowed & {Capacity.ESTATE}
    return allowed - {Capacity.GUARDIAN} if LifeEvent.OF_AGE in happened else allowed


class LifeEventReport(WireModel):
    """Something happened to the person behind a pseudonym, or to who speaks for them."""

    pseudonym: Pseudonym
    event: LifeEvent
    happened_on: date
    evidence: Evidence
    salt: Salt | None = None


class LifeEventRecorded(WireModel):
    """What follows: consents that are asked for anew, versions that are suspended, bindings that end."""

    digest: Digest  # of the report's canonical form
    consents: tuple[RecordId, ...]
    suspended: tuple[str, ...]  # tenant/name@number
    released: tuple[PrincipalId, ...]
    receipts: tuple[LogReceipt, ...]  # one for each consent


class ConsentAnswer(WireModel):
    """The answer to a re-confirmation. A subject answers with their credential; for others a document is named."""

    answer: Literal[ConsentEvent.RECONFIRM, ConsentEvent.REFUSE]
    expressed_by: ShortText
    expressed_as: Capacity
    expressed_on: date
    expressed_through: Expression
    evidence: Evidence | None = None
    salt: Salt | None = None


class ConsentEventView(WireModel):
    """One event of a consent, as it is shown to whom it concerns."""

    event: ConsentEvent
    at: AwareDatetime
    status: ConsentStatus  # that it led to
    recorded_by: PrincipalId | None = None  # none: the clock
    life_event: LifeEventReport | None = None
    answer: ConsentAnswer | None = None
    reason: str | None = None  # of a withdrawal
    receipt: LogReceipt | None = None  # none: the clock, which is not logged
    statement: Envelope | None = None  # the registry's, where the entry names one (`sdk.spec.recorded`)


class ConsentReceipt(WireModel):
    """What the person keeps: the record, everything that happened to it, and the proofs (ISO/IEC TS 27560, receipt)."""

    schema_: Literal["imprimatur.consent-receipt/v1"] = Field(default="imprimatur.consent-receipt/v1", alias="schema")
    standard: Literal["ISO/IEC TS 27560:2023"] = "ISO/IEC TS 27560:2023"
    id: RecordId
    digest: Digest  # of the record's canonical form; the log entries name it
    record: ConsentRecord
    status: ConsentStatus
    events: tuple[ConsentEventView, ...]
    issued_at: AwareDatetime
    issued_by: str  # the log's origin, as the receipts' checkpoints name it
