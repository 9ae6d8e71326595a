"""Attempts as they were recorded: holding their rows, and reading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.tables import GenerationRow, GenerationVersionRow
from registry.versions import service as versions
from registry.versions.sealed import SealedArtefact
from registry.versions.version import Version
from sdk.errors import NotFound
from sdk.spec.api import GenerationIntent
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, parse_envelope
from sdk.spec.ids import RecordId
from sdk.spec.policy import Decision, Effect, PolicyContext

_HOLD: Final = text("SELECT application, intent, result, result_index FROM hold_permitted(:generation, :tenant)")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A recorded attempt and the decision about it."""

    id: RecordId
    decision: Decision
    context: PolicyContext
    log_index: int
    expires_at: datetime | None
    grant: Envelope | None  # of a permit
    released: tuple[SealedArtefact, ...] = ()  # that leave with the permit


@dataclass(frozen=True, kw_only=True)
class Permitted:
    """What was permitted, and the digest and log index of its result if it has one."""

    intent: GenerationIntent
    result: tuple[Digest, int] | None


def hold(session: Session, caller: Caller, generation: RecordId) -> Permitted:
    """A generation that was permitted to the caller, held to the end of the transaction. Raises `NotFound`."""
    found = session.execute(_HOLD, {"generation": generation, "tenant": caller.tenant}).one_or_none()
    if found is None or found.application != caller.principal:
        raise NotFound(f"{caller.principal} was permitted no generation {generation}; record an intent first")
    return Permitted(
        intent=parse_wire(GenerationIntent, found.intent, f"intent of {generation}"),
        result=(Digest(found.result), found.result_index) if found.result else None,
    )


def hold_to_draw(session: Session, caller: Caller, generation: RecordId) -> GenerationRow:
    """A permitted generation that the caller draws, held to the end of the transaction. Raises `NotFound`."""
    statement = select(GenerationRow).where(
        GenerationRow.id == generation,
        GenerationRow.tenant == caller.tenant,
        GenerationRow.effect == Effect.PERMIT.value,
    )
    row = session.scalar(statement.with_for_update(key_share=True))
    if row is None or (intent_of(row).executor or row.application) != caller.principal:
        raise NotFound(f"there is no generation {generation} that {caller.principal} draws; a grant names who does")
    return row


def attempt_of(row: GenerationRow) -> Attempt:
    """The attempt as it was recorded."""
    return Attempt(
        id=row.id,
        decision=decision_of(row),
        context=context_of(row),
        log_index=row.log_index,
        expires_at=row.expires_at,
        grant=parse_envelope(row.compose_grant) if row.compose_grant else None,
    )


def intent_of(row: GenerationRow) -> GenerationIntent:
    """The intent as it was recorded."""
    return parse_wire(GenerationIntent, row.intent, f"intent of {row.id}")


def decision_of(row: GenerationRow) -> Decision:
    """The decision of record."""
    return parse_wire(Decision, row.decision, f"decision of {row.id}")


def context_of(row: GenerationRow) -> PolicyContext:
    """The question as it was decided."""
    return parse_wire(PolicyContext, row.context, f"context of {row.id}")


def versions_of(session: Session, row: GenerationRow) -> tuple[Version, ...]:
    """The versions that an attempt named, in its order, as they stand now."""
    statement = select(GenerationVersionRow.concept_id, GenerationVersionRow.number)
    named = session.execute(
        statement.where(GenerationVersionRow.generation_id == row.id).order_by(GenerationVersionRow.position)
    )
    return tuple(versions.load(session, row.tenant, concept, number) for concept, number in named.all())


def opened_by_break_glass(context: PolicyContext) -> tuple[str, ...]:
    """The versions in a question that were not approved but opened by break-glass."""
    used = (facts for facts in context.concepts if facts.status == VersionStatus.BREAK_GLASS)
    return tuple(f"{facts.concept}@{facts.number}" for facts in used)
