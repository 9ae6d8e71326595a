"""A version of a world, verified as a client does it."""

from __future__ import annotations

from support.governed import (
    NOW,
    World,
)

from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import parse_version_ref
from sdk.verify import VerifiedVersion, verify_version


def verify(
    world: World, bundle: VersionBundle | None = None, ref: str = "demo/fox", listed: bytes | None = None
) -> VerifiedVersion:
    """What verification says of the world's version, or of `bundle` and `listed` instead of its own. Raises what it raises."""
    return verify_version(
        bundle or world.bundle(),
        ref=parse_version_ref(ref),
        trust=world.trust,
        now=NOW,
        status_list=listed or world.status_list(),
    )
