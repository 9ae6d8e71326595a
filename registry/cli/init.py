"""Making a workspace: keys, trust root, database, log, credentials, profiles, settings; in this order.

Nothing is ever overwritten: a folder that holds anything is refused untouched. `imprimatur.toml` is written last; when
anything fails before, what was made is removed again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from registry.cli import postgres
from registry.cli.distribution import create_repository
from registry.cli.serving import open_runtime
from registry.cli.workspace import KEY_ROLES, PRINCIPALS, SHIPPED_BASE_MODEL, Address, Workspace
from registry.db import upgrade
from registry.issuance import issue_credential, open_log
from registry.runtime import Runtime, system_clock
from registry.sealing import write_key_file
from registry.settings import Settings
from sdk.credentials.authority import create_authority
from sdk.errors import ConfigurationError
from sdk.signing.signer import Ed25519Signer, generate_key_file
from sdk.signing.trust import TrustedKey, TrustRoot, sign_trust_root
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import PrincipalId, TenantName

TRUST_ROOT_LIFE: Final = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the workspace is to be."""

    tenant: TenantName
    registry: Address
    trainer: Address
    base_model: Path | None = None  # none: the one that ships
    database_url: str = ""  # empty: embedded

    @property
    def base_model_path(self) -> Path | None:
        """An absolute path, or none where no base model is there."""
        chosen = self.base_model or SHIPPED_BASE_MODEL
        return chosen.absolute() if chosen.is_dir() else None


def create_workspace(folder: Path, plan: Plan) -> Workspace:
    """Make a workspace in `folder`, which is empty or not there.

    Raises:
        ConfigurationError: it cannot be made here; whatever was made is removed again.
    """
    workspace = Workspace(folder.absolute())
    _require_free(workspace, plan)
    existed = workspace.root.exists()
    try:
        _fill(workspace, plan)
    except BaseException:
        _clear(workspace, keep_root=existed)
        raise
    return workspace


def _require_free(workspace: Workspace, plan: Plan) -> None:
    root = workspace.root
    if root.exists() and not root.is_dir():
        raise ConfigurationError(f"{root} is a file; a workspace is a folder")
    if root.exists() and any(root.iterdir()):
        raise ConfigurationError(f"{root} is not empty, and nothing in it is touched; choose another folder")
    if plan.base_model is not None and not plan.base_model.is_dir():
        raise ConfigurationError(f"the base model {plan.base_model} is no folder; name one in the diffusers layout")
    if not plan.database_url:
        postgres.require_plain_path(workspace.database)


def _fill(workspace: Workspace, plan: Plan) -> None:
    _make_folders(workspace)
    keys = {name: generate_key_file(workspace.key(name)) for name in KEY_ROLES}
    write_key_file(workspace.key_encryption_key)
    authority = create_authority(workspace.content_credentials, organization=plan.tenant, now=system_clock())
    trust_root = _trust_root(plan.tenant, keys, authority)
    _write_new(workspace.trust_root, encode_envelope(sign_trust_root(trust_root, keys["root"])), mode=0o644)
    create_repository(workspace, [keys["root"]], trust_root)
    with _database(workspace, plan) as url:
        upgrade(url)
        with open_runtime(_settings(workspace, url)) as runtime:
            credentials = _open_registry(runtime, plan.tenant)
    for name, credential in credentials.items():
        _write_new(workspace.profile(name), _profile(name, credential, plan).encode())
    _write_new(workspace.settings, _settings_file(plan).encode(), mode=0o600 if plan.database_url else 0o644)


def _make_folders(workspace: Workspace) -> None:
    workspace.root.mkdir(parents=True, exist_ok=True)
    # The database may run as a user of its own, which passes through these two and enters nothing else.
    workspace.root.chmod(0o711)
    workspace.database.parent.mkdir()
    workspace.database.parent.chmod(0o711)
    for folder in workspace.private_folders:
        folder.mkdir(mode=0o700)


def _trust_root(tenant: TenantName, keys: Mapping[str, Ed25519Signer], authority: str) -> TrustRoot:
    trusted = {
        keys[name].keyid: TrustedKey(
            public_key=keys[name].public_key, role=role, holder=PrincipalId(f"{tenant}/{name}")
        )
        for name, role in KEY_ROLES.items()
        if role is not None
    }
    return TrustRoot(
        version=1,
        expires_at=system_clock() + TRUST_ROOT_LIFE,
        log_origin=f"imprimatur.local/{tenant}/{secrets.token_hex(8)}",  # no two logs may share one
        keys=trusted,
        credential_authorities=(authority,),
    )


@contextmanager
def _database(workspace: Workspace, plan: Plan) -> Iterator[str]:
    if plan.database_url:
        yield plan.database_url
        return
    try:
        yield postgres.start(workspace.database)
    finally:
        postgres.stop(workspace.database)


def _settings(workspace: Workspace, database_url: str) -> Settings:
    return replace(
        Settings(),
        database_url=database_url,
        blobs=str(workspace.root / "blobs"),
        log_key=workspace.key("log"),
        status_key=workspace.key("status"),
        tuf=workspace.tuf,
        tuf_key=workspace.key("tuf-online"),
        decision_key=workspace.key("decision"),
        key_encryption_key=str(workspace.key_encryption_key),
        key_vault=workspace.key_vault,
        trust_root=workspace.trust_root,
    )


def _open_registry(runtime: Runtime, tenant: TenantName) -> dict[str, str]:
    """Open the log and issue the credentials, all or none."""
    with runtime.transaction() as session:
        open_log(session, runtime)
        return {
            name: issue_credential(session, runtime, principal=PrincipalId(f"{tenant}/{name}"), roles=roles).text
            for name, roles in PRINCIPALS.items()
        }


def _profile(name: str, credential: str, plan: Plan) -> str:
    members = {
        "registry": str(plan.registry),
        "trainer": str(plan.trainer),
        "principal": f"{plan.tenant}/{name}",
        "credential": credential,
        "trust_root": "../trust-root.json",
        "tuf_root": "../tuf/root.json",
    }
    if name in KEY_ROLES:
        members["signing_key"] = f"../keys/{name}.pem"
    if name in ("app", "training-service"):
        members["content_credentials"] = "../keys/content-credentials"
    if plan.base_model_path is not None:
        members["base_model"] = str(plan.base_model_path)
    return "".join(f"{key} = {_toml_text(value)}\n" for key, value in members.items())


def _settings_file(plan: Plan) -> str:
    lines = [
        "[registry]",
        f"host = {_toml_text(plan.registry.host)}",
        f"port = {plan.registry.port}",
        f"database_url = {_toml_text(plan.database_url)}  # empty: the PostgreSQL embedded in this workspace",
        "",
        "[trainer]",
        f"host = {_toml_text(plan.trainer.host)}",
        f"port = {plan.trainer.port}",
    ]
    if plan.base_model is not None:
        lines.append(f"base_model = {_toml_text(str(plan.base_model_path))}")
    return "\n".join(lines) + "\n"


def _toml_text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _clear(workspace: Workspace, *, keep_root: bool) -> None:
    if not keep_root:
        shutil.rmtree(workspace.root, ignore_errors=True)
        return
    for path in workspace.root.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
