"""Whether something is drawn at all: a request held to its compose grant. Pure but for reading the base model's digest.

In this order:
1. The registry signed the grant, and it has not expired.
2. It names this service as its executor, and the caller as its application: a grant is nobody else's to use.
3. Scene, sampling and manifests are those that were granted, by digest, and on the base model that draws here.
4. The scene names the concepts of those manifests and no others.
That one grant is drawn once is the table's rule (`service.create`); what the artefacts are is checked when they are fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sdk.errors import InputError, PermissionDenied, VerificationError
from sdk.generate.scene import Scene, parse_scene, plain_text
from sdk.signing.grants import verify_grant
from sdk.signing.trust import TrustRoot
from sdk.spec.digest import Digest
from sdk.spec.grant import GrantPredicate
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptManifest, parse_manifest
from sdk.spec.rendering import RendererView, RenderRequest


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A request that is exactly what was granted."""

    grant: GrantPredicate
    request: RenderRequest
    scene: Scene
    manifests: Mapping[ConceptId, ConceptManifest]


def admit(
    request: RenderRequest, *, caller: PrincipalId, renderer: RendererView, trust: TrustRoot, now: datetime
) -> Admitted:
    """Return the request with what it means.

    Raises:
        SignatureInvalid, PermissionDenied: the grant is not the registry's, has expired, or is somebody else's (1, 2).
        VerificationError, InputError: the request is not what was granted (3, 4).
    """
    grant = verify_grant(request.grant, trust, now=now)  # 1
    if grant.executor != renderer.principal:  # 2
        raise PermissionDenied(f"the grant of {grant.generation} is to be drawn by {grant.executor}, not here")
    if grant.application != caller:
        raise PermissionDenied(f"the grant of {grant.generation} was given to {grant.application}, not to {caller}")
    _require_as_granted(request, grant, renderer)  # 3
    manifests = {manifest.concept: manifest for manifest in map(parse_manifest, request.manifests)}
    if sorted(request.names.values()) != sorted(manifests):  # 4
        raise InputError(f"the scene of {grant.generation} names other concepts than were granted")
    plain_text(request.sampling.negative_prompt)
    return Admitted(grant=grant, request=request, scene=parse_scene(request.scene, request.names), manifests=manifests)


def _require_as_granted(request: RenderRequest, grant: GrantPredicate, renderer: RendererView) -> None:
    sent = {
        "scene": (Digest.of(request.scene.encode()), grant.scene),
        "sampling": (request.sampling.digest, grant.sampling),
        "versions": (tuple(map(Digest.of, request.manifests)), grant.manifests),
        "base model": (renderer.base_model, grant.base_model),
    }
    for name, (found, granted) in sent.items():
        if found != granted:
            raise VerificationError(f"the {name} sent for {grant.generation} is not the one that was granted")
    seeds = request.sampling.seeds
    if seeds is not None and len(seeds) != grant.count:
        raise VerificationError(f"{grant.generation} was granted {grant.count} images, not {len(seeds)}")
