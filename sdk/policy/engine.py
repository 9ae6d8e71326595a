"""The `PolicyEngine` port, and `enforce`, which turns a denial into an error that explains itself.

The Cedar engine is `sdk.policy.cedar`. An engine never raises on a question: what it cannot answer, it denies.
"""

from __future__ import annotations

from typing import Protocol

from sdk.errors import PolicyDenied
from sdk.spec.digest import Digest
from sdk.spec.policy import Decision, PolicyContext, Reason


class PolicyEngine(Protocol):
    """Decides by one bundle of rules; the same context always gets the same decision."""

    @property
    def bundle_digest(self) -> Digest: ...

    def evaluate(self, context: PolicyContext) -> Decision:
        """The decision about `context`; a denial when anything about it cannot be decided."""


def enforce(engine: PolicyEngine, context: PolicyContext) -> Decision:
    """Return the decision if it permits.

    Raises:
        PolicyDenied: it denies; the message names the rules, the error carries the decision.
    """
    return require_permit(engine.evaluate(context))


def require_permit(decision: Decision) -> Decision:
    """Return `decision` if it permits. Raises `PolicyDenied` like `enforce`."""
    if decision.permitted:
        return decision
    raise PolicyDenied(f"{decision.action} is refused: {_in_words(decision.reasons)}", decision)


def _in_words(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(f"{reason.message} ({reason.rule}): {reason.remedy}" for reason in reasons)
