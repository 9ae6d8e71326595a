"""Trainings that policy refuses: decided here from the registry's own records, and logged, so that they are in the ledger.

The trainer refuses a training before a job exists, and says so here under the credential of whoever asked. Rules:
1. The registry believes no refusal: it decides by its own policies and records. What they permit is no refusal.
2. Each concept has an entry of its own, which names what was said of it and of the caller, and how many others there were.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.concepts import service as concepts
from registry.consent import evidence
from registry.log import service as log
from registry.runtime import Runtime
from sdk.errors import Conflict
from sdk.policy.facts import training_context, training_facts
from sdk.spec.denials import TrainingDenied, WantedConcept, WantedTraining
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import ConceptFacts, Reason

ACTION = "train"


def note_denied(session: Session, runtime: Runtime, caller: Caller, wanted: WantedTraining) -> TrainingDenied:
    """Log that the caller asked for a training and is refused it.

    Raises:
        NotFound: a concept or record is not there, or is another tenant's.
        Conflict: policy permits the training.
    """
    facts = [_facts(session, runtime, caller, each) for each in wanted.concepts]
    context = training_context(caller.as_policy_principal, facts, runtime.clock())
    decision = runtime.policy.evaluate(context)
    if decision.permitted:
        raise Conflict("policy permits this training as the records stand now, so there is no refusal to log")
    indices = [
        log.append(
            session,
            runtime,
            event=AuditEventType.TRAINING_DENIED,
            actor=caller.principal,
            subject=fact.concept,
            evidence={"context": context.digest, "bundle": decision.bundle},
            facts={
                "action": ACTION,
                "rules": _rules(decision.reasons, fact.concept),
                "caller_rules": _rules(decision.reasons, caller.principal),
                "others": str(len(facts) - 1),
                "others_refused": str(
                    len({reason.about for reason in decision.reasons} - {fact.concept, caller.principal})
                ),
            },
        )
        for fact in facts
    ]
    return TrainingDenied(log_indices=tuple(indices))


def _facts(session: Session, runtime: Runtime, caller: Caller, wanted: WantedConcept) -> ConceptFacts:
    concept = concepts.load(session, caller.tenant, wanted.concept)
    at = runtime.clock()
    return training_facts(
        concept=concept.id,
        kind=concept.kind,
        owner=concept.owner,
        trainer=caller.principal,
        consents=evidence.consents_of(session, caller.tenant, wanted.consents, at),
        licences=evidence.licences_of(session, caller.tenant, wanted.licences),
        at=at,
    )


def _rules(reasons: Sequence[Reason], about: str) -> str:
    return " ".join(dict.fromkeys(reason.rule for reason in reasons if reason.about == about))
