"""The signed compose grant of a permit (`sdk.spec.grant`): made in the transaction that records the permit, once.

Its digest is in the permit's log entry, and the same envelope is given again to a retry: however often an intent is
sent, there is one grant for it, with one nonce and one end.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from registry.runtime import Runtime
from registry.versions.version import Terms, Version
from sdk.signing.grants import sign_grant
from sdk.spec.api import GenerationIntent
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.grant import GrantedVersion, GrantPredicate
from sdk.spec.ids import PrincipalId, RecordId
from sdk.spec.policy import Decision

_NONCE_BYTES = 16


def make_grant(
    runtime: Runtime,
    generation: RecordId,
    application: PrincipalId,
    intent: GenerationIntent,
    decision: Decision,
    named: Sequence[Version],
    terms: Sequence[Terms],
    *,
    issued_at: datetime,
    expires_at: datetime,
) -> Envelope:
    """Sign leave to do what `intent` says, as `decision` permits it."""
    grant = GrantPredicate(
        generation=generation,
        application=application,
        executor=intent.executor or application,
        intent=Digest.of(encode_canonical(intent)),
        versions=tuple(
            GrantedVersion(concept=version.concept, number=version.number, manifest=version.digest, terms=of.digest)
            for version, of in zip(named, terms, strict=True)
        ),
        use=intent.use,
        count=intent.count,
        scene=intent.scene,
        sampling=intent.sampling,
        base_model=intent.base_model,
        decision=Digest.of(encode_canonical(decision)),
        policy_bundle=decision.bundle,
        issued_at=issued_at,
        expires_at=expires_at,
        nonce=secrets.token_hex(_NONCE_BYTES),
    )
    return sign_grant(grant, runtime.decision_signer)
