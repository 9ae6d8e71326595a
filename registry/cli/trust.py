"""What `imprimatur trust` does to a workspace's trust root: show it, sign the next one. Nothing here needs the database.

A trust root is never edited: the next one has the next version, is signed by the root key, and takes the place of the
file. Clients accept it because the root key that they know signed it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from registry.cli.init import TRUST_ROOT_LIFE
from registry.cli.serving import read_trust_root
from registry.cli.workspace import KEY_ROLES, Workspace
from registry.runtime import system_clock
from sdk.errors import ConfigurationError
from sdk.signing.signer import Ed25519Signer, generate_key_file, load_key_file
from sdk.signing.trust import TrustedKey, TrustRole, TrustRoot, sign_trust_root, verify_trust_root
from sdk.spec.canonical import parse_wire
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import PrincipalId


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The trust root that took the place of another, and the roles that got a key."""

    root: TrustRoot
    new_keys: tuple[str, ...]


def current_root(workspace: Workspace) -> TrustRoot:
    """The trust root of the workspace. Raises `TrustRootInvalid` when it has expired: 'renew' is what helps then."""
    return verify_trust_root(read_trust_root(workspace.trust_root), now=system_clock())


def renew(workspace: Workspace, root_key: Path | None = None) -> Renewal:
    """Sign the next trust root, with a new term, and with a key for each role that has none yet.

    Raises:
        ConfigurationError: the root key is not at `root_key`, or is not the one of this workspace.
    """
    made = {name: role for name, role in KEY_ROLES.items() if role and not _trusted(workspace).keys_for(role)}

    def change(root: TrustRoot) -> TrustRoot:
        keys = dict(root.keys)
        holder = min(key.holder for key in root.keys.values() if key.role is TrustRole.ROOT).tenant
        for name, role in made.items():
            signer = _key_of(workspace, name)
            who = PrincipalId(f"{holder}/{name}")
            keys[signer.keyid] = TrustedKey(public_key=signer.public_key, role=role, holder=who)
        return root.model_copy(update={"keys": keys, "expires_at": system_clock() + TRUST_ROOT_LIFE})

    return Renewal(root=replace_root(workspace, change, root_key), new_keys=tuple(sorted(made)))


def replace_root(workspace: Workspace, change: Callable[[TrustRoot], TrustRoot], root_key: Path | None) -> TrustRoot:
    """Sign what `change` makes of the trust root as the next version, and put it in its place."""
    before = _trusted(workspace)
    signer = load_key_file(root_key or workspace.key("root"))
    if signer.keyid not in before.keys_for(TrustRole.ROOT):
        raise ConfigurationError(
            f"{root_key or workspace.key('root')} is no root key of {workspace.trust_root}; clients would refuse what it signs"
        )
    changed = change(before)
    after = TrustRoot.model_validate(changed.model_dump() | {"version": before.version + 1})
    envelope = sign_trust_root(after, signer)
    verify_trust_root(envelope, now=system_clock(), previous=before)
    _write_over(workspace.trust_root, encode_envelope(envelope))
    return after


def _trusted(workspace: Workspace) -> TrustRoot:
    """The trust root whose term may be over: it is about to be renewed."""
    envelope = read_trust_root(workspace.trust_root)
    ends = parse_wire(TrustRoot, envelope.payload, "trust root").expires_at
    return verify_trust_root(envelope, now=min(system_clock(), ends - timedelta(seconds=1)))


def _key_of(workspace: Workspace, name: str) -> Ed25519Signer:
    path = workspace.key(name)
    return load_key_file(path) if path.exists() else generate_key_file(path)


def _write_over(path: Path, content: bytes) -> None:
    """Replace a file whole, readable for everybody as before."""
    handle, beside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(beside).chmod(0o644)
    Path(beside).replace(path)
