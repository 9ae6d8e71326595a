"""What must hold of verified versions before anything is drawn, and again before anything is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sdk.cache import StatusWatch
from sdk.compose.grant import Enforced, RefusedHere
from sdk.compose.premises import Premises
from sdk.compose.values import Composer
from sdk.errors import BackboneError, PolicyDenied
from sdk.generate.base_model import base_model_digest
from sdk.policy.engine import enforce
from sdk.resolve import StatusLists, on_status_lists
from sdk.signing.trust import TrustRoot
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import Use
from sdk.verify import VerifiedVersion, verify_live


def require_base_model(composer: Composer, versions: Sequence[VerifiedVersion]) -> PrincipalId | None:
    """Who draws in our place, if not this process; refuse versions that were learned on another base model than theirs."""
    renderer = None if composer.base_model else composer.client.renderer()
    found = renderer.base_model if renderer else base_model_digest(composer.local_base_model)
    where = f"the rendering service {renderer.principal}" if renderer else str(composer.base_model)
    require_learned_on(found, versions, where)
    return renderer.principal if renderer else None


def require_learned_on(found: Digest, versions: Sequence[VerifiedVersion], where: str) -> None:
    """Refuse versions that were learned on another base model than `found`, which is `where` images are drawn."""
    for version in versions:
        if version.manifest.base_model != found:
            raise BackboneError(
                f"{version.name} was learned on base model {version.manifest.base_model}, but {where} has {found}; "
                "compose where the one it was learned on is (base_model in the profile)"
            )


def enforce_policy(
    premises: Premises, versions: Sequence[VerifiedVersion], use: Use, count: int, now: datetime
) -> Enforced:
    """Decide here, on all concepts together, by the registry's bundle. Raises `RefusedHere`."""
    engine, asker = premises.engine, premises.asker
    enforced = Enforced(engine=engine, asker=asker, versions=tuple(versions), use=use, count=count)
    try:
        enforce(engine, enforced.context(now))
    except PolicyDenied as exc:
        raise RefusedHere(exc, enforced) from exc
    return enforced


def require_live(composer: Composer, versions: Sequence[VerifiedVersion], trust: TrustRoot) -> None:
    """Refuse versions that ended since they were verified. A status list that is fresh still is believed once more."""
    statuses = StatusWatch(composer.memory)

    def require(lists: StatusLists) -> None:
        for version in versions:
            if version.live_until and composer.clock() < version.live_until:
                continue
            signed = lists.of(version.bundle)
            statuses.see(verify_live(version, signed, trust=trust, now=composer.clock()))

    on_status_lists(composer.client, trust, require)
