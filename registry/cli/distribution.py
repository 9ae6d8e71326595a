"""The TUF repository of a workspace: what it distributes, made and published with the keys that lie in the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from registry.cli.workspace import Workspace
from registry.distribution.repository import TufRepository
from registry.runtime import system_clock
from registry.settings import SHIPPED_POLICIES
from sdk.policy.bundle import load_bundle
from sdk.signing.signer import Signer, generate_key_file, load_key_file
from sdk.signing.trust import TrustRoot
from sdk.signing.tuf_client import POLICIES_TARGET, TRUST_ROOT_TARGET
from sdk.spec.canonical import encode_canonical


def create_repository(workspace: Workspace, roots: Sequence[Signer], root: TrustRoot) -> None:
    """Make the repository, which distributes the trust root and the policies that ship."""
    TufRepository(workspace.tuf).create(
        roots,
        online_signer(workspace),
        targets_of(workspace, SHIPPED_POLICIES),
        threshold=root.root_threshold,
        expires=root.expires_at,
        now=system_clock(),
    )


def publish(workspace: Workspace, roots: Sequence[Signer], root: TrustRoot, policies: Path) -> None:
    """Distribute the trust root and `policies` as they are now; the repository is made if there is none."""
    repository = TufRepository(workspace.tuf)
    if not repository.exists:
        create_repository(workspace, roots, root)
    targets, online = targets_of(workspace, policies), online_signer(workspace)
    repository.publish(roots, online, targets, expires=root.expires_at, now=system_clock())


def targets_of(workspace: Workspace, policies: Path) -> dict[str, bytes]:
    """What is distributed, by name."""
    return {
        TRUST_ROOT_TARGET: workspace.trust_root.read_bytes(),
        POLICIES_TARGET: encode_canonical(load_bundle(policies).view()),
    }


def online_signer(workspace: Workspace) -> Signer:
    """The key of snapshot and timestamp, made if a workspace from before has none."""
    path = workspace.key("tuf-online")
    return load_key_file(path) if path.exists() else generate_key_file(path)
