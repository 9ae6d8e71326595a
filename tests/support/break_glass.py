"""Opening versions by break-glass in the registry under test, in which the owner holds a key for approvals too.

with make_open_registry(url) as registry:
    opening(registry, version, "reviewer", "owner")     # the statement, signed by both
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from support.registry import RegistryUnderTest, SettableClock, make_keys, make_test_registry
from support.versions import Steps, Submitted

from registry.runtime import Runtime
from sdk.signing.signer import sign_envelope
from sdk.signing.trust import TrustedKey, TrustRole, sign_trust_root
from sdk.spec.break_glass import BreakGlassPredicate
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.statements import encode_statement


def owner_may_sign(runtime: Runtime) -> Runtime:
    """The same runtime with a trust root in which demo/owner has a key for approvals."""
    keys = make_keys()
    mine = keys["owner"]
    held = TrustedKey(public_key=mine.public_key, role=TrustRole.APPROVAL, holder=PrincipalId("demo/owner"))
    trust = runtime.trust_root.model_copy(update={"keys": runtime.trust_root.keys | {mine.keyid: held}})
    return replace(runtime, trust_root=trust, trust_root_envelope=sign_trust_root(trust, keys["root"]))


@contextmanager
def make_open_registry(database_url: str, *, clock: SettableClock | None = None) -> Iterator[RegistryUnderTest]:
    """A registry in which the owner could sign too."""
    with make_test_registry(database_url, clock=clock, change=owner_may_sign) as registry:
        yield registry


def opening(
    registry: RegistryUnderTest,
    version: Submitted,
    *names: str,
    signed_by: tuple[str, ...] | None = None,
    about: Digest | None = None,
    hours: float = 12,
    **changes: Any,
) -> Envelope:
    """The statement that `names` open `version`, with the signatures of `signed_by`, or of all of them."""
    now = registry.clock.now
    predicate = BreakGlassPredicate(
        **{
            "concept": version.concept,
            "number": version.number,
            "signers": tuple(registry.principals[name] for name in names),
            "terms": version.terms,
            "reason": "the broadcast is tonight",
            "signed_at": now,
            "expires_at": now + timedelta(hours=hours),
        }
        | changes
    )
    payload = encode_statement(predicate, subjects={str(version.concept): about or version.manifest.digest})
    signed = [sign_envelope(payload, registry.keys[name]) for name in (signed_by or names)]
    return signed[0].model_copy(update={"signatures": tuple(one.signatures[0] for one in signed)})


def open_version(registry: RegistryUnderTest, version: Submitted, envelope: Envelope, by: str) -> httpx.Response:
    """The registry's answer to the statement, whatever it is."""
    return Steps(registry).post(by, f"{version.path}/break-glass", envelope)
