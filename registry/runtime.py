"""The `Runtime`: everything with effects that a request needs, as one frozen value.

`registry.app` is given one, tests make their own. A route function opens exactly one `runtime.transaction(tenant)`;
services take the session and never commit. Row security then shows it that tenant's rows and no others, whatever a
query forgets; without a tenant it sees the log and the credentials only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Protocol

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session, sessionmaker

from registry.oidc import TokenVerifier
from registry.outbound import Addresses, PublicAddresses, resolve_by_system
from registry.personal import sealed_by
from registry.settings import Settings
from registry.stamps import Stamps
from registry.storage import BlobStore
from registry.vault import VaultKeyWrapper
from sdk.errors import ConfigurationError, InputError
from sdk.policy.bundle import PolicyBundle
from sdk.policy.engine import PolicyEngine
from sdk.policy.risk import RiskClasses, risk_classes
from sdk.signing.signer import Signer
from sdk.signing.trust import TrustRole, TrustRoot
from sdk.spec.envelope import Envelope
from sdk.spec.ids import TenantName
from sdk.spec.log_policy import LogPolicy

APP_ROLE: Final = "imprimatur_app"
"""The database role of every request; `migrations.tenancy` makes it and says what it may see."""
_WORK_FOR: Final = text("SELECT set_config('role', :role, true), set_config('imprimatur.tenant', :tenant, true)")

AFTER_COMMIT: Final = "registry.after_commit"
"""In a session's `info`: called with a connection once its transaction is committed. A commit that does not wait for the disk
leaves it `flush`, or a statement that waits as well, and nothing of it is told before."""
_FLUSH: Final = text("SELECT pg_logical_emit_message(true, 'imprimatur', '')")


def flush(on: Session | Connection) -> None:
    """Write a record of its own, whose commit waits until it, and all that was committed before, is on disk."""
    on.execute(_FLUSH)


Clock = Callable[[], datetime]
"""Returns the moment as an aware UTC `datetime`."""


class TufFiles(Protocol):
    """A TUF repository as it is served."""

    def read(self, name: str) -> bytes:
        """A file of it. Raises `FileNotFoundError`."""

    def keep_fresh(self, now: datetime) -> bool:
        """Sign anew what comes near its end; says whether anything was."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What the registry runs on."""

    settings: Settings
    sessions: sessionmaker[Session]
    blobs: BlobStore
    key_wrapper: VaultKeyWrapper
    log_signer: Signer
    status_signer: Signer
    decision_signer: Signer
    trust_root: TrustRoot
    trust_root_envelope: Envelope  # the bytes that were verified, as clients get them
    policy: PolicyEngine
    policy_bundle: PolicyBundle  # what `policy` decides by
    clock: Clock
    webhook_signer: Signer | None = None  # of what is sent to subscribers
    addresses: Addresses = field(default_factory=lambda: PublicAddresses(resolve_by_system))  # that may be sent to
    tuf: TufFiles | None = None  # none: this registry distributes nothing over TUF
    stamps: Stamps | None = None  # by which /v1/resolve is answered again as it was; none: it is made anew each time
    tokens: TokenVerifier | None = None  # of an OpenID Connect issuer, where one is trusted
    witnesses: LogPolicy = field(default_factory=LogPolicy)  # who cosigns the log's checkpoints, and where
    claim: Callable[[Session], None] | None = None  # of a request's idempotency key, in its tenant's first transaction

    def __post_init__(self) -> None:
        signing = {
            TrustRole.LOG: self.log_signer,
            TrustRole.STATUS: self.status_signer,
            TrustRole.DECISION: self.decision_signer,
        }
        for role, signer in signing.items():
            if signer.keyid not in self.trust_root.keys_for(role):
                raise ConfigurationError(
                    f"the {role.value} key {signer.keyid[:12]} is no {role.value} key of the trust root; nobody could "
                    f"verify what it signs; see 'imprimatur trust renew --help'"
                )
        if self.policy.bundle_digest != self.policy_bundle.digest:
            raise ConfigurationError(f"the policy engine does not decide by the bundle {self.policy_bundle.digest}")
        risk_classes(self.policy_bundle)

    @property
    def risk_classes(self) -> RiskClasses:
        """How many must approve what."""
        return risk_classes(self.policy_bundle)

    @contextmanager
    def transaction(self, tenant: TenantName | None = None) -> Iterator[Session]:
        """One transaction for `tenant`: on disk at the end of the block, rolled back when it raises."""
        with self._engine.connect() as connection:
            with self.sessions(bind=connection) as session, session.begin():
                session.execute(_WORK_FOR, {"role": APP_ROLE, "tenant": tenant or ""})
                if tenant and self.claim:
                    self.claim(session)
                with sealed_by(self.key_wrapper):
                    yield session
            if finish := session.info.get(AFTER_COMMIT):  # on the same connection, and by itself: one round trip
                finish(connection.execution_options(isolation_level="AUTOCOMMIT"))

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """For statements that each stand alone, at one round trip each: about credentials and the log, which belong to no tenant.

        Row security is not in force here.
        """
        with self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def _engine(self) -> Engine:
        engine: Engine = self.sessions.kw["bind"]
        return engine


def system_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def require_past(runtime: Runtime, at: datetime) -> None:
    """Return if `at` has come. Raises `InputError`: what is answered about a moment must not change afterwards."""
    if at > (now := runtime.clock()):
        raise InputError(
            f"{at.isoformat()} has not come yet, it is {now:%Y-%m-%dT%H:%M:%SZ}; ask about a moment before"
        )


def runtime_of(request: Request) -> Runtime:
    """The runtime of the application that serves `request`, with the request's claim if it has one."""
    runtime: Runtime = request.scope.get("state", {}).get("runtime") or request.app.state.runtime
    return runtime


async def _runtime_of(request: Request) -> Runtime:
    """`runtime_of` as a dependency: FastAPI would call a plain function in a thread of its own."""
    return runtime_of(request)


RuntimeDep = Annotated[Runtime, Depends(_runtime_of)]
