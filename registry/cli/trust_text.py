"""What the commands of the group `trust` show: the keys of a trust root, and what another would change."""

from __future__ import annotations

from collections.abc import Iterator

from registry.distribution.proposal import TrustProposal
from sdk.signing.trust import TrustedKey, TrustRoot
from sdk.spec.digest import Digest


def changes(before: TrustRoot, proposal: TrustProposal) -> Iterator[str]:
    """What a proposal would change, line by line, for who is asked to sign it."""
    after = proposal.root
    yield f"trust root version {after.version} of {after.log_origin}, until {after.expires_at:%Y-%m-%d}; known is version {before.version}"
    for keyid in sorted(before.keys.keys() | after.keys.keys()):
        old, new = before.keys.get(keyid), after.keys.get(keyid)
        if new is None:
            yield f"  no longer trusted: {describe(keyid, before.keys[keyid])}"
        elif old is None:
            yield f"  newly trusted: {describe(keyid, new)}"
        elif old != new:
            yield f"  revoked: {describe(keyid, new)}"
    if before.root_threshold != after.root_threshold:
        yield f"  root keys that must sign: {after.root_threshold}, up to now {before.root_threshold}"
    for what in ("credential_authorities", "time_stamp_authorities"):
        if (was := set(getattr(before, what) or ())) != (becomes := set(getattr(after, what) or ())):
            yield f"  {what.replace('_', ' ')}: {len(becomes - was)} more, {len(was - becomes)} fewer"
    yield f"  policies: {Digest.of(proposal.policies)}"


def describe(keyid: str, key: TrustedKey) -> str:
    """A key in one line."""
    ended = f"  revoked: counts up to entry {key.last_entry}" if key.last_entry is not None else ""
    return f"{keyid[:16]}  {key.role.value:<10}  {key.holder}{ended}"
