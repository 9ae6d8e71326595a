"""The registry's answer to an intent, held to what this call knows: the decision of record, and the grant.

The decision of record must be the one that this SDK comes to by the same policies on the facts that it verified itself.
The registry alone counts images and sets the moment; about everything else it has no say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sdk.compose.question import composition_context
from sdk.errors import PolicyDenied, VerificationError
from sdk.policy.engine import PolicyEngine
from sdk.signing.grants import CLOCK_SKEW, verify_grant
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GenerationGrant, GenerationIntent
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.grant import GrantPredicate
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyPrincipal, Use
from sdk.verify import VerifiedVersion


@dataclass(frozen=True, kw_only=True)
class Enforced:
    """What this call asked its own policy engine."""

    engine: PolicyEngine
    asker: PolicyPrincipal
    versions: tuple[VerifiedVersion, ...]
    use: Use
    count: int

    def context(self, at: datetime) -> PolicyContext:
        """The question as it is at the moment `at`."""
        return composition_context(self.asker, self.versions, self.use, count=self.count, at=at)


class RefusedHere(PolicyDenied):
    """Policy refuses in this process, and nobody else has heard of it yet."""

    def __init__(self, refusal: PolicyDenied, enforced: Enforced) -> None:
        super().__init__(refusal.message, refusal.decision)
        self.enforced = enforced


def require_same_decision(opened: GenerationGrant, enforced: Enforced, *, now: datetime) -> None:
    """The decision of record must be ours: same policies, same facts, same answer, with the same reasons.

    Raises:
        PolicyDenied: it is no permit, or was made under other policies.
        VerificationError: it rests on other facts than were verified here, or does not follow from them.
    """
    decision, context = opened.decision, opened.context
    if not decision.permitted or decision.bundle != enforced.engine.bundle_digest:
        raise PolicyDenied(f"the registry's decision about {opened.id} is not a permit under our policies", decision)
    if abs(context.at - now) > CLOCK_SKEW:
        raise VerificationError(
            f"the decision about {opened.id} is of {context.at}, but here it is {now}; set the clock, or, if a call was "
            "repeated so long after it, repeat it under another idempotency key"
        )
    ours = enforced.context(context.at)
    if context.digest != decision.context or _as_registered(ours, context) != context:
        raise VerificationError(
            f"the registry's decision about {opened.id} rests on other facts than those verified here; nothing is "
            "generated; tell whoever runs the registry"
        )
    if enforced.engine.evaluate(context) != decision:
        raise VerificationError(
            f"the registry's decision about {opened.id} is not what its policies say about these facts; nothing is "
            "generated; tell whoever runs the registry"
        )


def require_grant_of(
    opened: GenerationGrant, intent: GenerationIntent, application: PrincipalId, trust: TrustRoot, *, now: datetime
) -> GrantPredicate:
    """Return the grant if it is the registry's own for exactly this intent, to us.

    Raises:
        SignatureInvalid, PermissionDenied: it is not signed by the registry, or has expired.
        VerificationError: it is another one.
    """
    grant = verify_grant(opened.grant, trust, now=now)
    expected = {
        "generation": opened.id,
        "application": application,
        "executor": intent.executor or application,
        "intent": Digest.of(encode_canonical(intent)),
        "manifests": intent.manifests,
        "use": intent.use,
        "count": intent.count,
        "scene": intent.scene,
        "sampling": intent.sampling,
        "base_model": intent.base_model,
        "decision": Digest.of(encode_canonical(opened.decision)),
        "policy_bundle": opened.decision.bundle,
        "expires_at": opened.expires_at,
    }
    for name, value in expected.items():
        if getattr(grant, name) != value:
            raise VerificationError(f"the grant of {opened.id} is for another {name} than ours; nothing is generated")
    return grant


def _as_registered(ours: PolicyContext, theirs: PolicyContext) -> PolicyContext:
    """Our facts with what the registry alone can say: how many images are left."""
    if len(ours.concepts) != len(theirs.concepts):
        return ours
    pairs = zip(ours.concepts, theirs.concepts, strict=True)
    return ours.model_copy(update={"concepts": tuple(_with_count_of(mine, other) for mine, other in pairs)})


def _with_count_of(mine: ConceptFacts, other: ConceptFacts) -> ConceptFacts:
    return mine.model_copy(update={"images_left": other.images_left}) if _may_be_left(mine, other) else mine


def _may_be_left(mine: ConceptFacts, other: ConceptFacts) -> bool:
    """Fewer may be left than the licences allow in all, never more, and never without a limit."""
    if mine.images_left is None or other.images_left is None:
        return False
    return 0 <= other.images_left <= mine.images_left
