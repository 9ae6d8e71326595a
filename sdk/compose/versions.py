"""Steps 1 and 2 of a compose call: what its references mean, and that it may be relied on.

A version that an earlier call found by the same reference and verified is used again while its premises are kept
(`sdk.compose.premises`). What is asked of the registry anew is verified from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sdk.break_glass import verify_usable
from sdk.cache import LogWatch, StatusWatch
from sdk.compose.premises import Premises
from sdk.compose.values import Composer
from sdk.resolve import StatusLists, on_status_lists, resolve_references
from sdk.signing.trust import TrustRoot, require_current
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import VersionRef, parse_version_ref
from sdk.verify import VerifiedVersion, verify_live


@dataclass(frozen=True, kw_only=True)
class Meant:
    """A version by the reference that means it."""

    reference: str
    ref: VersionRef
    bundle: VersionBundle
    verified: VerifiedVersion | None  # by an earlier call


def resolve_versions(composer: Composer, references: Sequence[str], premises: Premises) -> tuple[Meant, ...]:
    """What each reference means: as kept, else as the registry says, which is not believed yet."""
    kept = {reference: held for reference in references if (held := premises.versions.get(reference))}
    asked = [reference for reference in references if reference not in kept]
    shown = dict(zip(asked, resolve_references(composer.client, asked), strict=True))
    found = {reference: held.bundle for reference, held in kept.items()}
    found |= {reference: bundle for reference, (_, bundle) in shown.items()}
    return tuple(
        Meant(
            reference=reference,
            ref=parse_version_ref(reference),
            bundle=found[reference],
            verified=kept.get(reference),
        )
        for reference in references
    )


def verify_versions(
    composer: Composer, meant: Sequence[Meant], premises: Premises, log: LogWatch
) -> tuple[tuple[VerifiedVersion, ...], datetime]:
    """The versions, verified, and the moment at which they are; the log and the status lists are those seen before, or newer."""
    kept = premises.lists_at(composer.clock())
    return on_status_lists(
        composer.client, premises.trust, lambda lists: _verify_all(composer, meant, premises, log, lists), kept
    )


def _verify_all(
    composer: Composer, meant: Sequence[Meant], premises: Premises, log: LogWatch, lists: StatusLists
) -> tuple[tuple[VerifiedVersion, ...], datetime]:
    listed = [lists.of(each.bundle) for each in meant]
    now = composer.clock()  # once everything is fetched: what is fresh is never from its future
    versions = tuple(_verify(each, signed, premises, now) for each, signed in zip(meant, listed, strict=True))
    statuses = StatusWatch(composer.memory)
    for each, version, signed in zip(meant, versions, listed, strict=True):
        for note in version.notes if each.verified is None else ():
            log.see(note)
        if version.status_list:
            statuses.see(version.status_list)
        premises.keep(each.reference, version, signed)
    return versions, now


def verify_still(version: VerifiedVersion, status_list: bytes, *, trust: TrustRoot, now: datetime) -> VerifiedVersion:
    """A version that was verified under this very trust root before, as it is now: steps 1 and 10, which alone depend on the time.

    Raises like `verify_live`, and `TrustRootInvalid`.
    """
    require_current(trust, now)
    return replace(version, status_list=verify_live(version, status_list, trust=trust, now=now))


def _verify(meant: Meant, signed: bytes, premises: Premises, now: datetime) -> VerifiedVersion:
    if meant.verified:
        return verify_still(meant.verified, signed, trust=premises.trust, now=now)
    return verify_usable(meant.bundle, ref=meant.ref, trust=premises.trust, now=now, status_list=signed)
