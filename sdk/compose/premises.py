"""What a call takes from the registry before it looks at concepts: the trust root, the policies in force, who asks.

They are verified when they are fetched, and then kept in memory for one connection and one profile, so that a call that
follows another does not ask again, and calls that begin together ask once. Kept ones count for as long as a status list is
believed, and never beyond the expiry of the trust root or of the TUF metadata that they came with. A status list counts
until its own end, as it does within a call.

A version that was found by a reference and verified is kept beside them (ADR 0046). A call that uses it holds it to the status list and
the trust root of its own moment (`sdk.compose.versions.verify_still`), and tells the registry by which reference it was found: an
intent is decided on only if that still means it, and it may be used.

A refusal or a fault on kept premises counts only when the registry says the same anew (`on_premises`): a policy that was
widened, a role that was given, a key that was rotated or a version that was approved holds at once. A policy that was
narrowed is met at the registry, whose decision is the one of record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from sdk.client import Client
from sdk.compose.values import Composer
from sdk.errors import BackboneError, Conflict, PolicyDenied, ServiceUnavailable, VerificationError
from sdk.policy.bundle import parse_bundle
from sdk.policy.cedar import engine_of
from sdk.policy.engine import PolicyEngine
from sdk.profile import Profile
from sdk.resolve import KeptLists, current_rules
from sdk.signing.trust import TrustRoot
from sdk.spec.policy import PolicyPrincipal
from sdk.spec.status_list import StatusListName
from sdk.verify import VerifiedVersion

KEPT: Final = timedelta(seconds=60)

_Outcome = TypeVar("_Outcome")
_kept: WeakKeyDictionary[Client, dict[Profile, Premises]] = WeakKeyDictionary()
_fetching: WeakKeyDictionary[Client, dict[Profile, Future[Premises | None]]] = WeakKeyDictionary()
_lock = threading.Lock()  # over what is kept; never held while anything is fetched


@dataclass(frozen=True, kw_only=True)
class Premises:
    """Verified, and what a call decides by."""

    trust: TrustRoot
    engine: PolicyEngine
    asker: PolicyPrincipal
    fetched_at: datetime
    valid_until: datetime
    lists: KeptLists = field(default_factory=dict)  # status lists that calls on these premises verified
    versions: dict[str, VerifiedVersion] = field(default_factory=dict)  # by the references that they were found by

    def lists_at(self, now: datetime) -> KeptLists:
        """The kept status lists that have not ended."""
        with _lock:
            return {name: kept for name, kept in self.lists.items() if now < kept[1]}

    def keep(self, reference: str, version: VerifiedVersion, signed: bytes) -> None:
        """Keep `version`, which `reference` means, and the signed status list that it was verified by."""
        with _lock:
            self.versions[reference] = version
            if version.status_list:
                name = StatusListName.of(version.bundle, log_origin=self.trust.log_origin)
                self.lists[name] = signed, version.status_list.valid_until

    def hold_at(self, now: datetime) -> bool:
        """Whether they may be used without asking again."""
        return self.fetched_at <= now < self.valid_until

    def same_as(self, other: Premises) -> bool:
        """Whether a call on the others would go the same way."""
        engines = self.engine.bundle_digest == other.engine.bundle_digest
        return engines and self.trust == other.trust and self.asker == other.asker


def on_premises(composer: Composer, act: Callable[[Premises], _Outcome]) -> _Outcome:
    """`act` on the premises that are kept, or on fetched ones; what fails on kept ones is tried once on other, fetched ones.

    Those that another call was fetching when this one began count as kept.

    Raises what `act` raises, and what fetching raises.
    """
    kept, fetched_now = _current(composer)
    if fetched_now:
        return act(kept)
    has_versions = bool(kept.versions)
    try:
        return act(kept)
    except (VerificationError, PolicyDenied, Conflict, BackboneError) as exc:
        lists_may_be_behind = isinstance(exc, VerificationError) and kept.lists_at(composer.clock())
        versions_may_be_behind = has_versions and not (isinstance(exc, PolicyDenied) and exc.on_record)
        fetched = _fetch(composer)
        if fetched.same_as(kept) and not lists_may_be_behind and not versions_may_be_behind:
            raise
        return act(fetched)


def _current(composer: Composer) -> tuple[Premises, bool]:
    """Premises that hold, and whether this call fetched them. Who finds another call at it waits for that one."""
    now, ours = composer.clock(), Future[Premises | None]()
    with _lock:
        kept = _kept.get(composer.client, {}).get(composer.profile)
        if kept and kept.hold_at(now):
            return kept, False
        under_way = _fetching.setdefault(composer.client, {}).setdefault(composer.profile, ours)
    if under_way is ours:
        return _fetch_for_all(composer, ours), True
    if fetched := under_way.result():
        return fetched, False
    return _fetch(composer), True


def _fetch_for_all(composer: Composer, told: Future[Premises | None]) -> Premises:
    """Fetch, and tell those who wait. A registry that does not answer ends their calls too; after another fault each asks itself."""
    try:
        fetched = _fetch(composer)
        told.set_result(fetched)
        return fetched
    except ServiceUnavailable as exc:
        told.set_exception(exc)
        raise
    finally:
        with _lock:
            _fetching[composer.client].pop(composer.profile)
        if not told.done():
            told.set_result(None)


def _fetch(composer: Composer) -> Premises:
    now = composer.clock()
    rules = current_rules(composer.client, composer.profile, now=now)
    who = composer.client.whoami()
    fetched = Premises(
        trust=rules.trust,
        engine=engine_of(parse_bundle(rules.policies)),
        asker=PolicyPrincipal(id=who.principal, roles=who.roles),
        fetched_at=now,
        valid_until=min(now + KEPT, rules.valid_until),
    )
    with _lock:
        _kept.setdefault(composer.client, {})[composer.profile] = fetched
    return fetched
