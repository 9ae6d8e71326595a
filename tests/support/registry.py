"""The real registry in process: real database, real policies, real signatures; blobs in memory, a clock that tests set.

    with make_test_registry(database_url) as registry:
        registry.client("reviewer").get("/v1/whoami")       # httpx client over ASGI
        registry.clock.advance(days=1)
        registry.keys["reviewer"]                           # the signer of demo/reviewer

Principals of tenant `demo`: trainer (trainer, owner), owner, reviewer, second-reviewer, app, auditor, training-service,
subject (bound to no pseudonym yet), admin. Of tenant `other`: other-owner, other-app, other-auditor, other-reviewer,
other-subject, other-admin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from obstore.store import MemoryStore
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker
from support.asgi import AsgiTransport

from registry.app import create_app
from registry.db import make_engine
from registry.issuance import issue_credential, open_log
from registry.outbound import PublicAddresses
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper
from registry.settings import Settings
from registry.storage import ObjectBlobStore
from registry.vault import MemoryKeyVault, VaultKeyWrapper
from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import engine_of
from sdk.signing.signer import Ed25519Signer
from sdk.signing.trust import TrustedKey, TrustRole, TrustRoot, sign_trust_root
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import Role

POLICIES = Path(__file__).resolve().parents[2] / "policies"
START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ORIGIN = "imprimatur.test/demo"
BASE_URL = "http://registry.test"
KEY_ENCRYPTION_KEY = hashlib.sha256(b"test key-encryption key").digest()

ROLES: dict[str, tuple[str, frozenset[Role]]] = {
    "trainer": ("demo/trainer", frozenset({Role.TRAINER, Role.OWNER})),
    "owner": ("demo/owner", frozenset({Role.OWNER})),
    "reviewer": ("demo/reviewer", frozenset({Role.REVIEWER})),
    "second-reviewer": ("demo/second-reviewer", frozenset({Role.REVIEWER})),
    "app": ("demo/app", frozenset({Role.APP})),
    "auditor": ("demo/auditor", frozenset({Role.AUDITOR})),
    "renderer": ("demo/renderer", frozenset({Role.RENDERER})),
    "training-service": ("demo/training-service", frozenset({Role.TRAINING_SERVICE})),
    "subject": ("demo/subject", frozenset({Role.SUBJECT})),
    "other-owner": ("other/owner", frozenset({Role.OWNER})),
    "other-app": ("other/app", frozenset({Role.APP})),
    "other-auditor": ("other/auditor", frozenset({Role.AUDITOR})),
    "other-reviewer": ("other/reviewer", frozenset({Role.REVIEWER})),
    "other-subject": ("other/subject", frozenset({Role.SUBJECT})),
    "admin": ("demo/admin", frozenset({Role.ADMIN})),
    "other-admin": ("other/admin", frozenset({Role.ADMIN})),
}
TRUSTED: dict[str, TrustRole] = {
    "root": TrustRole.ROOT,
    "log": TrustRole.LOG,
    "status": TrustRole.STATUS,
    "decision": TrustRole.DECISION,
    "training-service": TrustRole.TRAINING,
    "reviewer": TrustRole.APPROVAL,
    "second-reviewer": TrustRole.APPROVAL,
    "other-reviewer": TrustRole.APPROVAL,
    "app": TrustRole.GENERATION,
    "other-app": TrustRole.GENERATION,
    "auditor": TrustRole.AUDIT,
}


@dataclass
class SettableClock:
    """A clock that stands until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        """Move on by a `timedelta` of these parts."""
        self.now += timedelta(**parts)


@dataclass(frozen=True)
class Memory:
    """What a registry under test holds outside its database."""

    blobs: MemoryStore = field(default_factory=MemoryStore)
    vault: MemoryKeyVault = field(default_factory=MemoryKeyVault)

    def copy(self) -> Memory:
        """The same content, of its own."""
        copied = Memory()
        for path in (held["path"] for some in self.blobs.list() for held in some):
            copied.blobs.put(path, bytes(self.blobs.get(path).bytes()))
        copied.vault.keys.update(self.vault.keys)
        return copied


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a registry is beside its database at one moment; on a copy of that database it goes on from here."""

    opened_at: datetime
    now: datetime
    credentials: dict[str, str]
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class RegistryUnderTest:
    """A registry with everybody who uses it."""

    runtime: Runtime
    engine: Engine
    app: FastAPI
    clock: SettableClock
    keys: dict[str, Ed25519Signer]  # by name, e.g. "reviewer"; "trainer" has one that nobody trusts
    credentials: dict[str, str]  # by name
    principals: dict[str, PrincipalId]  # by name
    transport: httpx.BaseTransport  # into the application, for `sdk.client.Client(..., transport=...)`
    opened_at: datetime
    memory: Memory  # of a runtime whose blobs and vault were not replaced
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    def client(self, name: str | None) -> httpx.Client:
        """An httpx client with the credential of `name`, or with none. Errors come back as answers, never raised."""
        key = name or ""
        if key not in self._clients:
            headers = {"Authorization": f"Bearer {self.credentials[name]}"} if name else {}
            self._clients[key] = httpx.Client(base_url=BASE_URL, headers=headers, transport=self.transport)
        return self._clients[key]

    def snapshot(self) -> Snapshot:
        """All of it that is not in the database."""
        return Snapshot(
            opened_at=self.opened_at, now=self.clock.now, credentials=dict(self.credentials), memory=self.memory.copy()
        )


@contextmanager
def make_test_registry(
    database_url: str,
    *,
    clock: SettableClock | None = None,
    settings: Settings | None = None,
    authorities: tuple[str, ...] = (),
    change: Callable[[Runtime], Runtime] = lambda runtime: runtime,
    snapshot: Snapshot | None = None,
) -> Iterator[RegistryUnderTest]:
    """A registry on the empty migrated database at `database_url`; `change` replaces parts of its runtime.

    With `snapshot` the database is a copy of the one that the snapshot was taken beside.
    """
    clock = clock or SettableClock(snapshot.opened_at if snapshot else START)
    opened_at, memory = clock.now, snapshot.memory.copy() if snapshot else Memory()
    runtime = change(
        make_test_runtime(database_url, clock=clock, settings=settings, authorities=authorities, memory=memory)
    )
    engine = runtime.sessions.kw["bind"]
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        credentials = dict(snapshot.credentials) if snapshot else open_and_issue(runtime)
        clock.now = snapshot.now if snapshot else clock.now
        app = create_app(runtime)
        made = RegistryUnderTest(
            runtime=runtime,
            engine=engine,
            app=app,
            transport=AsgiTransport(app),
            clock=clock,
            keys=make_keys(),
            credentials=credentials,
            principals={name: PrincipalId(principal) for name, (principal, _) in ROLES.items()},
            opened_at=opened_at,
            memory=memory,
        )
        stack.callback(lambda: [client.close() for client in made._clients.values()])
        yield made


def make_test_runtime(
    database_url: str,
    *,
    clock: SettableClock,
    settings: Settings | None = None,
    authorities: tuple[str, ...] = (),
    memory: Memory | None = None,
) -> Runtime:
    """The runtime of a registry on the database at `database_url`, whether anything is in it or not."""
    keys = make_keys()
    memory = memory or Memory()
    trust_root = make_trust_root(keys, clock.now, authorities)
    bundle = load_bundle(POLICIES)
    return Runtime(
        settings=replace(settings or Settings(), database_url=database_url),
        sessions=sessionmaker(make_engine(database_url), expire_on_commit=False),
        blobs=ObjectBlobStore(memory.blobs),
        key_wrapper=VaultKeyWrapper(AesKeyWrapper(lambda: KEY_ENCRYPTION_KEY), memory.vault),
        log_signer=keys["log"],
        status_signer=keys["status"],
        webhook_signer=signer_of("webhook"),
        addresses=PublicAddresses(lambda host, port: ["93.184.215.14"]),
        decision_signer=keys["decision"],
        trust_root=trust_root,
        trust_root_envelope=sign_trust_root(trust_root, keys["root"]),
        policy=engine_of(bundle),
        policy_bundle=bundle,
        clock=clock,
    )


def make_keys() -> dict[str, Ed25519Signer]:
    """Everybody's signing key, by name."""
    return {name: signer_of(name) for name in {*TRUSTED, *ROLES}}


def signer_of(name: str) -> Ed25519Signer:
    """A fixed signing key for `name`; the same in every run."""
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"test key " + name.encode()).digest()))


def make_trust_root(keys: dict[str, Ed25519Signer], now: datetime, authorities: tuple[str, ...] = ()) -> TrustRoot:
    """The trust root over the keys named in `TRUSTED`."""
    holders = {name: principal for name, (principal, _) in ROLES.items()}
    return TrustRoot(
        version=1,
        expires_at=now + timedelta(days=365),
        log_origin=ORIGIN,
        keys={
            keys[name].keyid: TrustedKey(
                public_key=keys[name].public_key, role=role, holder=PrincipalId(holders.get(name, f"demo/{name}"))
            )
            for name, role in TRUSTED.items()
        },
        credential_authorities=authorities,
    )


def open_and_issue(runtime: Runtime) -> dict[str, str]:
    """Open the log and issue everybody's credential."""
    with runtime.transaction() as session:
        open_log(session, runtime)
    credentials = {}
    for name, (principal, roles) in ROLES.items():
        with runtime.transaction() as session:
            issued = issue_credential(session, runtime, principal=PrincipalId(principal), roles=roles)
        credentials[name] = issued.text
    return credentials
