"""A recorded decision, made again from what was recorded: the question, and the bundle that the decision names.

Nothing of today enters: neither the policies in force nor the terms as they are now. That nothing was exchanged since is
what the log says of the digests of all three.
"""

from __future__ import annotations

from sdk.errors import ProofInvalid, VerificationError
from sdk.policy.engine import PolicyEngine
from sdk.spec.api import RecordedDecision
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType, LogEntry

DECIDED = (AuditEventType.GENERATION_PERMITTED, AuditEventType.GENERATION_DENIED)


def recheck(recorded: RecordedDecision, entry: LogEntry, engine: PolicyEngine) -> None:
    """Return if `engine`, which decides by the bundle of then, comes to the decision that `entry` of the log names.

    Raises:
        ProofInvalid: the entry is of another act, or names another question, bundle or decision.
        VerificationError: the engine decides by another bundle, or otherwise.
    """
    decision, about = recorded.decision, f"the decision about {recorded.generation}"
    if entry.event not in DECIDED or entry.subject != recorded.generation:
        raise ProofInvalid(
            f"entry {recorded.log_index} of the log is {entry.event.value} of {entry.subject}, not {about}"
        )
    shown = {
        "decision": Digest.of(encode_canonical(decision)),
        "context": recorded.context.digest,
        "bundle": decision.bundle,
    }
    for name, digest in shown.items():
        if entry.evidence.get(name) != digest:
            raise ProofInvalid(
                f"{about} comes with a {name} that its entry of the log does not name; keep what was shown"
            )
    if engine.bundle_digest != decision.bundle:
        raise VerificationError(f"{about} was made by {decision.bundle}, not by {engine.bundle_digest}")
    found = engine.evaluate(recorded.context)
    if found != decision:
        rules = " ".join(dict.fromkeys(reason.rule for reason in found.reasons)) or "no rule"
        raise VerificationError(
            f"{about} was {decision.effect.value}, but its own policies say {found.effect.value} about its own question ({rules})"
        )
