"""What `imprimatur trust` does to a workspace's trust root: show it, sign the next one.

A trust root is never edited: the next one has the next version, is signed by the root keys, and takes the place of the
file. Clients accept it because root keys that they know signed it. Where several people hold them, `proposal` names the
file that goes from one to the next (`registry.distribution.proposal`); nothing is published before enough have signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from registry.cli.distribution import distribute, propose
from registry.cli.init import TRUST_ROOT_LIFE
from registry.cli.trust_file import public_key_of, read_proposal, read_trust_root, write_proposal
from registry.cli.workspace import KEY_ROLES, Address, Workspace
from registry.distribution.proposal import TrustProposal, complete, sign_proposal
from registry.distribution.repository import TufRepository
from registry.runtime import system_clock
from registry.settings import read_settings
from sdk.errors import ConfigurationError, Conflict, InputError
from sdk.local_files import replace_file
from sdk.signing.public_keys import key_id
from sdk.signing.signer import Signer, generate_key_file, load_key_file
from sdk.signing.trust import (
    PAYLOAD_TYPE_TRUST_ROOT,
    TrustedKey,
    TrustRole,
    TrustRoot,
    known_root,
    verify_checkpoint,
    verify_trust_root,
)
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import PrincipalId


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The trust root that took the place of another, and the roles that got a key."""

    root: TrustRoot
    new_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RevokedKey:
    """A key that counts no longer, and the trust root that says so."""

    root: TrustRoot
    keyid: str
    role: TrustRole
    holder: PrincipalId
    last_entry: int


def current_root(workspace: Workspace) -> TrustRoot:
    """The trust root of the workspace. Raises `TrustRootInvalid` when it has expired: 'renew' is what helps then."""
    return verify_trust_root(read_trust_root(workspace.trust_root), now=system_clock())


def renew(workspace: Workspace, root_keys: Sequence[Path] = (), proposal: Path | None = None) -> Renewal:
    """Sign the next trust root, with a new term, and with a key for each role that has none yet.

    Raises:
        ConfigurationError: too few root keys of this workspace are at `root_keys`.
    """
    known = {key.role for key in _trusted(workspace).keys.values()}  # revoked ones too: they are never taken up again
    made = {name: role for name, role in KEY_ROLES.items() if role and role not in known}

    def change(root: TrustRoot) -> TrustRoot:
        keys = dict(root.keys)
        holder = min(key.holder for key in root.keys.values() if key.role is TrustRole.ROOT).tenant
        for name, role in made.items():
            signer = _key_of(workspace, name)
            who = PrincipalId(f"{holder}/{name}")
            keys[signer.keyid] = TrustedKey(public_key=signer.public_key, role=role, holder=who)
        return root.model_copy(update={"keys": keys, "expires_at": system_clock() + TRUST_ROOT_LIFE})

    return Renewal(root=replace_root(workspace, change, root_keys, proposal=proposal), new_keys=tuple(sorted(made)))


def revoke_key(
    workspace: Workspace,
    key: str,
    last_entry: int | None,
    root_keys: Sequence[Path] = (),
    proposal: Path | None = None,
) -> RevokedKey:
    """Let a key count for no entry of the log after `last_entry`; none: after those that the log holds now.

    Raises:
        InputError: `key` is not the id, or the beginning of the id, of exactly one key, or it is a root key.
        Conflict: it is revoked already, up to an earlier entry.
    """
    before = _trusted(workspace)
    keyid = _named_key(before, key)
    last = _newest_entry(workspace, before) if last_entry is None else last_entry
    known = before.keys[keyid]
    if known.role is TrustRole.ROOT:
        raise InputError("a root key signs no entry of the log; sign a trust root without it")
    if known.last_entry is not None and known.last_entry <= last:
        raise Conflict(
            f"{keyid[:16]} is revoked already, after entry {known.last_entry}; only an earlier one can be named"
        )

    def change(root: TrustRoot) -> TrustRoot:
        return root.model_copy(update={"keys": root.keys | {keyid: known.model_copy(update={"last_entry": last})}})

    root = replace_root(workspace, change, root_keys, proposal=proposal)
    return RevokedKey(root=root, keyid=keyid, role=known.role, holder=known.holder, last_entry=last)


def add_key(
    workspace: Workspace,
    public_key: bytes,
    role: TrustRole,
    holder: PrincipalId,
    root_keys: Sequence[Path] = (),
    proposal: Path | None = None,
) -> TrustRoot:
    """Trust `holder` with `public_key` (raw bytes) for `role`. Raises `Conflict` for a key that is known already."""
    before = _trusted(workspace)
    if key_id(public_key) in before.keys:
        raise Conflict(
            f"{key_id(public_key)[:16]} is in the trust root already; one key has one role, and is never taken up again"
        )

    def change(root: TrustRoot) -> TrustRoot:
        added = TrustedKey(public_key=public_key, role=role, holder=holder)
        return root.model_copy(update={"keys": root.keys | {key_id(public_key): added}})

    return replace_root(workspace, change, root_keys, proposal=proposal)


def rotate_root(
    workspace: Workspace,
    new_keys: Sequence[Path],
    threshold: int,
    root_keys: Sequence[Path] = (),
    proposal: Path | None = None,
) -> TrustRoot:
    """Let `new_keys` be the root keys, `threshold` of which must sign; the old ones sign that once more.

    Of a proposal the new ones may be public keys: their holders sign where they are.

    Raises:
        ConfigurationError: fewer old keys than their threshold are here, or a new one cannot be read.
        InputError: fewer new keys than their threshold.
        Conflict: a new one has another role.
    """
    new = [] if proposal else [load_key_file(path) for path in new_keys]
    public, known = [public_key_of(path) for path in new_keys], _trusted(workspace).keys
    if threshold > len(set(public)):
        raise InputError(
            f"{threshold} root keys are to sign, but {len(set(public))} are named; name more, or lower --threshold"
        )
    for path, key in zip(new_keys, public, strict=True):
        if (taken := known.get(key_id(key))) and taken.role is not TrustRole.ROOT:
            raise Conflict(
                f"{path} is trusted for {taken.role.value}; one key has one role: make another with 'trust make-key'"
            )
    holder = min(key.holder for key in known.values() if key.role is TrustRole.ROOT)

    def change(root: TrustRoot) -> TrustRoot:
        kept = {keyid: key for keyid, key in root.keys.items() if key.role is not TrustRole.ROOT}
        added = {key_id(key): TrustedKey(public_key=key, role=TrustRole.ROOT, holder=holder) for key in public}
        return root.model_copy(update={"keys": kept | added, "root_threshold": threshold})

    return replace_root(workspace, change, root_keys, new=new, proposal=proposal)


def publish_now(workspace: Workspace, root_keys: Sequence[Path] = (), proposal: Path | None = None) -> TrustRoot:
    """Distribute the trust root and the policies as they are now over TUF."""
    return _agree(workspace, read_trust_root(workspace.trust_root), root_keys, (), proposal)


def publish_signed(workspace: Workspace, proposal: Path) -> TrustRoot:
    """Put the trust root in its place that enough holders signed in the file `proposal`, and distribute it.

    Raises:
        ThresholdNotMet, VerificationError: see `complete`; nothing is changed.
        Conflict: something else was published since it was proposed.
    """
    return _publish(workspace, read_proposal(proposal), _trusted(workspace))


def replace_root(
    workspace: Workspace,
    change: Callable[[TrustRoot], TrustRoot],
    root_keys: Sequence[Path] = (),
    *,
    new: Sequence[Signer] = (),
    proposal: Path | None = None,
) -> TrustRoot:
    """Sign what `change` makes of the trust root as the next version, put it in its place, and distribute it.

    With `proposal` nothing is put anywhere: it is the file in which the next version waits for its signatures.
    """
    before = _trusted(workspace)
    after = TrustRoot.model_validate(change(before).model_dump() | {"version": before.version + 1})
    unsigned = Envelope(payload=encode_canonical(after), payload_type=PAYLOAD_TYPE_TRUST_ROOT, signatures=())
    return _agree(workspace, unsigned, root_keys, new, proposal)


def _agree(
    workspace: Workspace, envelope: Envelope, root_keys: Sequence[Path], new: Sequence[Signer], path: Path | None
) -> TrustRoot:
    before, after = _trusted(workspace), parse_wire(TrustRoot, envelope.payload, "trust root")
    signers = [load_key_file(each) for each in root_keys] if path else _root_signers(workspace, before, root_keys)
    proposal = propose(workspace, after, envelope, _policies(workspace))
    for signer in (*signers, *new) * 2:  # who signed the trust root before it was complete signs the targets after
        proposal = sign_proposal(proposal, signer, before)
    if path is None:
        return _publish(workspace, proposal, before)
    write_proposal(path, proposal, over=False)
    return after


def _publish(workspace: Workspace, proposal: TrustProposal, before: TrustRoot) -> TrustRoot:
    after = complete(proposal, before)
    verify_trust_root(proposal.trust_root, now=system_clock(), previous=before)
    TufRepository(workspace.tuf).judge(proposal.next_root, proposal.targets)
    replace_file(workspace.trust_root, encode_envelope(proposal.trust_root), mode=0o644)
    distribute(workspace, proposal)
    return after


def _root_signers(workspace: Workspace, root: TrustRoot, paths: Sequence[Path]) -> list[Signer]:
    """The root keys at `paths`, or the one in the workspace; as many as the threshold asks for."""
    signers = [load_key_file(path) for path in paths or [workspace.key("root")]]
    for signer in signers:
        if signer.keyid not in root.keys_for(TrustRole.ROOT):
            raise ConfigurationError(
                f"{signer.keyid[:16]} is no root key of {workspace.trust_root}; clients would refuse what it signs"
            )
    if len({signer.keyid for signer in signers}) < root.root_threshold:
        raise ConfigurationError(
            f"{root.root_threshold} root keys must sign, {len(signers)} are here; give --root-key for each"
        )
    return signers


def _policies(workspace: Workspace) -> Path:
    return read_settings(workspace.settings, os.environ).policies


def _trusted(workspace: Workspace) -> TrustRoot:
    """The trust root whose term may be over: it is about to be renewed."""
    return known_root(read_trust_root(workspace.trust_root))


def _named_key(root: TrustRoot, key: str) -> str:
    found = [keyid for keyid in root.keys if len(key) >= 8 and keyid.startswith(key)]
    if len(found) != 1:
        raise InputError(
            f"{key!r} is the beginning of {len(found)} key ids; give 8 digits or more of one that 'imprimatur trust show' lists"
        )
    return found[0]


def _newest_entry(workspace: Workspace, trust: TrustRoot) -> int:
    """The newest entry of the log, as the running registry shows it."""
    settings = read_settings(workspace.settings, os.environ)
    address = Address(host=settings.host, port=settings.port)
    try:
        note = httpx.get(f"{address}/v1/log/checkpoint", timeout=10.0, trust_env=False).raise_for_status().content
    except httpx.HTTPError as exc:
        raise ConfigurationError(
            f"the registry at {address} does not say how long its log is; start it, or give --last-entry"
        ) from exc
    return verify_checkpoint(note, trust).tree_size - 1


def _key_of(workspace: Workspace, name: str) -> Signer:
    path = workspace.key(name)
    return load_key_file(path) if path.exists() else generate_key_file(path)
