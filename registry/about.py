"""What the registry says of itself: health, readiness, trust root, the caller's own identity, the policies in force."""

from __future__ import annotations

from fastapi import APIRouter, Response

from registry.auth import AnyCallerDep, CallerDep
from registry.policies import bundle_at, bundle_of
from registry.readiness import require_ready
from registry.runtime import RuntimeDep
from sdk.errors import InputError
from sdk.software import software_version
from sdk.spec.api import Health, Moment, PolicyBundleView, WhoAmI
from sdk.spec.digest import Digest
from sdk.spec.envelope import encode_envelope

router = APIRouter(tags=["about"])


@router.get("/healthz")
def health() -> Health:
    """The process answers; nothing else is asked."""
    return Health(service="registry", version=software_version())


@router.get("/readyz")
def readiness(runtime: RuntimeDep) -> Health:
    """Database, blob store and log key can serve; else 503, naming those that cannot."""
    require_ready(runtime)
    return Health(service="registry", version=software_version(), status="ready")


@router.get("/v1/trust-root", response_class=Response)
def trust_root(runtime: RuntimeDep) -> Response:
    """The signed trust root. A convenience: clients believe the one they were given, not the one a server sends."""
    return Response(encode_envelope(runtime.trust_root_envelope), media_type="application/json")


@router.get("/v1/whoami")
def whoami(caller: AnyCallerDep) -> WhoAmI:
    """Who the credential says is calling."""
    return WhoAmI(
        principal=caller.principal,
        tenant=caller.tenant,
        roles=tuple(sorted(caller.roles)),
        scopes=None if caller.scopes is None else tuple(sorted(caller.scopes)),
    )


@router.get("/v1/policies")
def policies(
    runtime: RuntimeDep, caller: CallerDep, as_of: Moment | None = None, digest: Digest | None = None
) -> PolicyBundleView:
    """The policy bundle by which this registry decides, or decided at a moment, or the one with a digest."""
    if as_of and digest:
        raise InputError("a moment and a digest are given; ask for one of the two")
    if digest:
        with runtime.transaction(caller.tenant) as session:
            return bundle_of(session, digest)
    if as_of:
        with runtime.transaction(caller.tenant) as session:
            return bundle_at(session, runtime, as_of)
    return runtime.policy_bundle.view()
