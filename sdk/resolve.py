"""From references to bundles, and what a client holds a registry to: trust root, log, witnesses, status lists.

Resolving asks the registry; what it answers is verified in `sdk.verify`. The trust root starts from a file that was
given out of band: the registry's own may replace it only as `sdk.signing.trust` allows.
"""

from __future__ import annotations

import atexit
import os
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sdk.cache import FileLogMemory, LogMemory, LogWatch, RegistryMemory
from sdk.client import Client
from sdk.errors import ConfigurationError, StatusListInvalid, ThresholdNotMet
from sdk.profile import Profile
from sdk.signing.cosign import policy_of, verify_note
from sdk.signing.trust import TrustRoot, verify_trust_root
from sdk.signing.tuf_client import POLICIES_TARGET, TRUST_ROOT_TARGET, fetch_target, fetch_targets
from sdk.spec.api import PolicyBundleView
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import parse_wire
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import VersionRef, parse_version_ref
from sdk.spec.log_policy import LogPolicy, parse_log_policy
from sdk.spec.status_list import StatusListName

_Outcome = TypeVar("_Outcome")
_shared: dict[tuple[int, Profile], Client] = {}
_sharing = threading.Lock()


def connect(profile: Profile) -> Client:
    """The client of a profile."""
    return Client(
        profile.registry,
        profile.credential,
        trainer_url=profile.trainer,
        timeout=profile.timeout_seconds,
        proxy=profile.proxy,
        verify=_authorities(profile.ca_file) if profile.ca_file else None,
    )


def shared_connection(profile: Profile) -> Client:
    """The client that calls with this profile share in this process, so that the second one finds the connection open.

    Closed at the end of the process. A profile that changed, also in its credential, is another one.
    """
    with _sharing:
        key = os.getpid(), profile  # a child process has sockets of its own
        if key not in _shared:
            _shared[key] = connect(profile)
            atexit.register(_shared[key].close)
        return _shared[key]


def _authorities(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as exc:
        raise ConfigurationError(f"no certificates can be read at {path}: {exc.strerror or exc}") from exc


def log_memory(profile: Profile) -> RegistryMemory:
    """Where what a profile has seen is remembered: a folder beside the profile."""
    return FileLogMemory(profile.path.with_suffix(".seen"))


def load_trust_root(path: Path, *, now: datetime) -> TrustRoot:
    """The trust root in the file at `path`.

    Raises:
        ConfigurationError: there is no such file.
        TrustRootInvalid: it is unsigned or has expired.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"no trust root can be read at {path}: {exc.strerror}; get trust-root.json from whoever runs the registry"
        ) from exc
    return verify_trust_root(parse_envelope(content), now=now)


def current_trust_root(client: Client, profile: Profile, *, now: datetime) -> TrustRoot:
    """The registry's trust root: over TUF from the profile's TUF root on, else as its trust root file lets it be.

    Raises like `load_trust_root`, and `TrustRootInvalid` when what comes over TUF does not hold.
    """
    if profile.tuf_root:
        content = fetch_target(
            TRUST_ROOT_TARGET, root=profile.tuf_root, cache=_tuf_cache(profile), fetch=client.tuf_file
        )
        return verify_trust_root(parse_envelope(content), now=now)
    return verify_trust_root(client.trust_root(), now=now, previous=load_trust_root(profile.trust_root, now=now))


@dataclass(frozen=True, kw_only=True)
class CurrentRules:
    """The trust root, verified, and the policies in force."""

    trust: TrustRoot
    policies: PolicyBundleView
    valid_until: datetime  # the first expiry of what was signed


def current_rules(client: Client, profile: Profile, *, now: datetime) -> CurrentRules:
    """Trust root and policies: over TUF, by one refresh, where the profile has a TUF root; else as the registry says.

    Raises like `current_trust_root`.
    """
    if profile.tuf_root is None:
        trust = current_trust_root(client, profile, now=now)
        return CurrentRules(trust=trust, policies=client.policies(), valid_until=trust.expires_at)
    names = (TRUST_ROOT_TARGET, POLICIES_TARGET)
    told = fetch_targets(names, root=profile.tuf_root, cache=_tuf_cache(profile), fetch=client.tuf_file)
    trust = verify_trust_root(parse_envelope(told.targets[TRUST_ROOT_TARGET]), now=now)
    policies = parse_wire(PolicyBundleView, told.targets[POLICIES_TARGET], "policies")
    return CurrentRules(trust=trust, policies=policies, valid_until=min(trust.expires_at, told.valid_until))


def _tuf_cache(profile: Profile) -> Path:
    return profile.path.with_suffix(".seen") / "tuf"


def watch_log(client: Client, trust: TrustRoot, memory: LogMemory) -> LogWatch:
    """Holds the registry's log to what `memory` has seen of it."""
    return LogWatch(memory, trust, lambda old, new: client.log_consistency(old, new).hashes)


KeptLists = dict[StatusListName, tuple[bytes, datetime]]
"""Signed lists that were verified, each with its end."""


class StatusLists:
    """The status lists that the versions of one call stand in, each fetched once; nothing of them is verified yet."""

    def __init__(self, client: Client, trust: TrustRoot, kept: KeptLists | None = None) -> None:
        """`kept` are believed until their end, which is what a status list is for; then they are fetched anew."""
        self._client = client
        self._trust = trust
        self._held = {} if kept is None else {name: signed for name, (signed, _) in kept.items()}

    def of(self, bundle: VersionBundle) -> bytes:
        """The signed list of the version in `bundle`."""
        name = StatusListName.of(bundle, log_origin=self._trust.log_origin)
        if name not in self._held:
            self._held[name] = self._client.status_list(name.tenant, name.number)
        return self._held[name]


def on_status_lists(
    client: Client, trust: TrustRoot, act: Callable[[StatusLists], _Outcome], kept: KeptLists | None = None
) -> _Outcome:
    """`act` on status lists; once more on lists that are all fetched anew, where one did not hold.

    One that ended on its way, or that another process of the same profile was told a newer one meanwhile, is no fault of
    anybody's. Raises what `act` raises.
    """
    try:
        return act(StatusLists(client, trust, kept))
    except StatusListInvalid:
        return act(StatusLists(client, trust))


def witness_policy(profile: Profile) -> LogPolicy | None:
    """The witnesses that a profile asks for; none when it asks for none. Raises `ConfigurationError`, `FormatError`."""
    if profile.witness_policy is None:
        return None
    try:
        return parse_log_policy(profile.witness_policy.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no log policy can be read at {profile.witness_policy}: {exc.strerror}") from exc


def require_witnessed(
    client: Client, watch: LogWatch, trust: TrustRoot, witnesses: LogPolicy | None, indices: Iterable[int]
) -> None:
    """Hold the log to what a quorum of `witnesses` saw of it, entries `indices` included; no policy asks for nothing.

    Raises:
        ThresholdNotMet: no quorum cosigned a checkpoint over all of these entries.
        LogForked: what this client was shown is not what the witnesses saw.
        NotFound: the registry has no checkpoint that its witnesses cosigned.
    """
    if witnesses is None:
        return
    note = client.log_witnessed_checkpoint()
    size = verify_note(note, policy_of(trust, witnesses, note=note)).checkpoint.tree_size
    watch.see(note)
    if (last := max(indices, default=-1)) >= size:
        raise ThresholdNotMet(
            f"entry {last} of the log is not witnessed yet: the witnesses have cosigned {size} entries; try again later"
        )


def resolve_references(client: Client, references: Sequence[str]) -> tuple[tuple[VersionRef, VersionBundle], ...]:
    """Each reference with the bundle that the registry says it means, in order; nothing of it is verified yet."""
    refs = [parse_version_ref(reference) for reference in references]
    return tuple((ref, client.resolve(ref)) for ref in refs)
