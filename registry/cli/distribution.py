"""The TUF repository of a workspace: what it distributes, made and published with the keys that lie in the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuf.api.metadata import Root

from registry.cli.workspace import Workspace
from registry.distribution.proposal import TrustProposal
from registry.distribution.repository import TufRepository
from registry.runtime import system_clock
from registry.settings import SHIPPED_POLICIES
from sdk.policy.bundle import load_bundle
from sdk.signing.signer import Signer, generate_key_file, load_key_file
from sdk.signing.trust import TrustRole, TrustRoot
from sdk.signing.tuf_client import POLICIES_TARGET, TRUST_ROOT_TARGET
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import Envelope


def create_repository(workspace: Workspace, roots: Sequence[Signer], root: TrustRoot) -> None:
    """Make the repository, which distributes the trust root and the policies that ship."""
    TufRepository(workspace.tuf).create(
        roots,
        online_signer(workspace),
        {TRUST_ROOT_TARGET: workspace.trust_root.read_bytes(), POLICIES_TARGET: _bundle(SHIPPED_POLICIES)},
        threshold=root.root_threshold,
        expires=root.expires_at,
        now=system_clock(),
    )


def propose(workspace: Workspace, root: TrustRoot, envelope: Envelope, policies: Path) -> TrustProposal:
    """The trust root in `envelope` and `policies`, to be signed and then published."""
    repository, content = TufRepository(workspace.tuf), _bundle(policies)
    tuf_root = repository.next_root(
        list(root.keys_for(TrustRole.ROOT).values()),
        online_signer(workspace).public_key,
        threshold=root.root_threshold,
        expires=root.expires_at,
    )
    stays = repository.exists and _same(repository.newest_root().signed, tuf_root.signed)
    return TrustProposal(
        trust_root=envelope,
        policies=content,
        tuf_root=None if stays else tuf_root.to_bytes(),
        tuf_targets=repository.next_targets({POLICIES_TARGET: content}, expires=root.expires_at).to_bytes(),
    )


def distribute(workspace: Workspace, proposal: TrustProposal) -> None:
    """Let a complete proposal count for who reads over TUF; again, if that was interrupted. Raises as `judge` does."""
    repository, root, targets = TufRepository(workspace.tuf), proposal.next_root, proposal.targets
    repository.judge(root, targets)
    if root is not None:
        repository.put_root(root)
    repository.put_targets(targets, proposal.contents, online_signer(workspace), now=system_clock())


def online_signer(workspace: Workspace) -> Signer:
    """The key of snapshot and timestamp, made if a workspace from before has none."""
    path = workspace.key("tuf-online")
    return load_key_file(path) if path.exists() else generate_key_file(path)


def _same(before: Root, after: Root) -> bool:
    """Whether two TUF roots differ in nothing but their version."""
    said = [
        (root.expires, root.keys, {name: (set(role.keyids), role.threshold) for name, role in root.roles.items()})
        for root in (before, after)
    ]
    return said[0] == said[1]


def _bundle(policies: Path) -> bytes:
    return encode_canonical(load_bundle(policies).view())
