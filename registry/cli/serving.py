"""The real runtime of a workspace, and the process that serves it. Here, and in `init`, the real effects are chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from registry.app import create_app
from registry.auth import NewCredential
from registry.blobs import forget_old_uploads
from registry.cli.trust_file import read_trust_root
from registry.cli.trust_reload import kept_in_force
from registry.cli.workers import how_to_serve, serve_with_workers
from registry.cli.workspace import Workspace
from registry.db import libpq_url, make_engine, require_schema
from registry.distribution.repository import FreshRepository, TufRepository
from registry.erasure import service as erasure
from registry.issuance import issue_credential, log_what_is_in_force
from registry.key_services import open_key_wrapper
from registry.log.query import opened_origin
from registry.log.witnesses import kept_cosigned
from registry.oidc import OidcVerifier, fetch_over_https
from registry.reminders.service import remind_all
from registry.runtime import APP_ROLE, Runtime, system_clock
from registry.settings import Settings, read_settings
from registry.stamps import PostgresStamps
from registry.storage import open_blob_store
from registry.telemetry.logs import set_up_logging
from registry.vault import FolderKeyVault, VaultKeyWrapper
from registry.webhooks.sending import Sender
from registry.webhooks.worker import make_worker, run_worker
from sdk.errors import ConfigurationError
from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.signing.signer import Signer, generate_key_file, load_key_file
from sdk.signing.trust import TrustRole, verify_trust_root
from sdk.spec.ids import PrincipalId
from sdk.spec.log_policy import LogPolicy, parse_log_policy
from sdk.spec.policy import Role


def serve(workspace: Workspace, workers: int | None = None) -> None:
    """Serve the registry until the process is told to stop, by as many workers as asked for, or as the settings say.

    What is done once, whatever their number, is done in this process: what is in force is logged, erasures are finished,
    witnesses are asked. A worker does what each has to do for itself: it takes up a new trust root.
    """
    set_up_logging()
    settings = workspace_settings(workspace)
    workers = workers or settings.workers
    with open_runtime(settings) as runtime:
        require_own_database(runtime)
        if runtime.tuf:
            runtime.tuf.keep_fresh(runtime.clock())
        with runtime.transaction() as session:
            log_what_is_in_force(session, runtime)
        with runtime.sessions.begin() as session:  # of all tenants, so as the database's owner
            erasure.finish(session, runtime)
        with kept_cosigned(runtime):
            if workers > 1:
                serve_with_workers(workspace.root.absolute(), settings, workers)
                return
            app = create_app(runtime)
            with kept_in_force(app, settings.trust_root, seconds=settings.trust_root_seconds):
                uvicorn.run(app, **how_to_serve(settings))


def deliver_webhooks(workspace: Workspace) -> None:
    """Deliver webhooks, and remind of terms that end, until told to stop; a workspace without a webhook key gets one."""
    set_up_logging()
    settings = workspace_settings(workspace)
    signer = (load_key_file if settings.webhook_key.exists() else generate_key_file)(settings.webhook_key)
    with open_runtime(settings) as runtime:
        require_own_database(runtime)
        run_worker(make_worker(runtime, Sender(signer, runtime.addresses), partial(keep_up, runtime)))


def keep_up(runtime: Runtime) -> None:
    """What the clock asks for, again and again: reminders, and forgetting what no version took."""
    remind_all(runtime)
    forget_old_uploads(runtime)


def issue_as_operator(workspace: Workspace, principal: PrincipalId, roles: frozenset[Role]) -> NewCredential:
    """Issue a credential as whoever runs the registry, beside the running service. Logged like any other."""
    with open_runtime(workspace_settings(workspace)) as runtime:
        require_own_database(runtime)
        with runtime.transaction() as session:
            return issue_credential(session, runtime, principal=principal, roles=roles)


def workspace_settings(workspace: Workspace) -> Settings:
    """The settings, with the address of the embedded database where none other is given.

    Raises:
        ConfigurationError: the embedded database is meant, and does not run.
    """
    settings = read_settings(workspace.settings, os.environ)
    if settings.database_url:
        return settings
    try:
        return replace(settings, database_url=workspace.database_url.read_text(encoding="utf-8").strip())
    except OSError as exc:
        raise ConfigurationError(
            f"the database of {workspace.root} is not running; start it with 'imprimatur up {workspace.root}', "
            "or set DATABASE_URL"
        ) from exc


@contextmanager
def open_runtime(settings: Settings) -> Iterator[Runtime]:
    """The real runtime; its connections are closed at the end of the block.

    Raises:
        ConfigurationError: a key, the trust root, the policies, the blobs or the database URL cannot be used.
    """
    envelope = read_trust_root(settings.trust_root)
    bundle = load_bundle(settings.policies)
    engine = make_engine(
        settings.database_url,
        connections=settings.database_connections,
        overflow=settings.database_overflow,
        wait_seconds=settings.database_wait_seconds,
    )
    try:
        yield Runtime(
            settings=settings,
            sessions=sessionmaker(engine, expire_on_commit=False),
            blobs=open_blob_store(settings.blobs),
            key_wrapper=VaultKeyWrapper(
                open_key_wrapper(settings.key_encryption_key), FolderKeyVault(settings.key_vault)
            ),
            log_signer=load_key_file(settings.log_key),
            status_signer=_signer_of(TrustRole.STATUS, settings.status_key),
            decision_signer=_signer_of(TrustRole.DECISION, settings.decision_key),
            trust_root=verify_trust_root(envelope, now=system_clock()),
            trust_root_envelope=envelope,
            policy=CedarEngine(bundle),
            policy_bundle=bundle,
            clock=system_clock,
            stamps=PostgresStamps(libpq_url(settings.database_url), APP_ROLE, system_clock),
            webhook_signer=load_key_file(settings.webhook_key) if settings.webhook_key.exists() else None,
            tuf=_tuf_files(settings),
            tokens=OidcVerifier(settings.oidc, fetch_over_https) if settings.oidc else None,
            witnesses=read_witnesses(settings),
        )
    finally:
        engine.dispose()


def _tuf_files(settings: Settings) -> FreshRepository | None:
    repository = TufRepository(settings.tuf)
    if not repository.exists:
        return None
    return FreshRepository(repository=repository, online=load_key_file(settings.tuf_key))


def _signer_of(role: TrustRole, path: Path) -> Signer:
    if not path.exists():
        raise ConfigurationError(
            f"there is no {role.value} key at {path}; put it back from its backup, or, in a workspace from before there "
            "was such a key, run 'imprimatur trust renew'"
        )
    return load_key_file(path)


_MAY_WORK_AS: Final = text("SELECT pg_has_role(current_user, :role, 'SET')")


def require_own_database(runtime: Runtime) -> None:
    """Return if the database has a schema that this code can work in and holds this trust root's log.

    Raises:
        ConfigurationError: it has none, or an older one, or holds another log: its checkpoints would fork that one.
    """
    origin = runtime.trust_root.log_origin
    try:
        with runtime.sessions.begin() as session:
            require_schema(session.connection())
            opened = opened_origin(session)
            may_serve = session.scalar(_MAY_WORK_AS, {"role": APP_ROLE})
    except OperationalError as exc:
        raise ConfigurationError(
            "the registry's database gives no answer; is it running, and is its URL right?"
        ) from exc
    if not may_serve:
        raise ConfigurationError(f"the database's user may not work as {APP_ROLE}; run 'GRANT {APP_ROLE} TO that_user'")
    if opened != origin:
        raise ConfigurationError(f"the database holds the log {opened}, the trust root is of {origin}; they do not fit")


def read_witnesses(settings: Settings) -> LogPolicy:
    """Who cosigns the log. Raises `ConfigurationError` when a policy is set and cannot be read."""
    if not settings.witness_policy:
        return LogPolicy()
    try:
        return parse_log_policy(Path(settings.witness_policy).read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"no log policy can be read at {settings.witness_policy}: {exc.strerror}") from exc
